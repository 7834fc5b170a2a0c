// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// row is one callback or entry point of the contract.
type row struct {
	// name in the contract; call is the one in the protocol.
	name, call string
	// seen is where a person sees it.
	seen string
}

// plumbing are the calls of the protocol that no callback or entry point of the
// contract stands behind.
var plumbing = []string{"GetInfo", "GetCapabilities", "Probe", "Report"}

// same is a row whose call has the name of the contract.
func same(name, seen string) row { return row{name, name, seen} }

const (
	ofResource = "ClusterResource `.status.owner."
	ofGroup    = "ResourceGroup `.status."
	ofCall     = "ControlCall `.status."
)

var rows = []row{
	// Callbacks, RA 1.0, in its order.
	same("ChangeResourceProcessForDumps", ofResource+"dumpProcesses`, `lastDump`"),
	same("ChangeResTypeProcessForDumps", ofGroup+"types[].dumpProcesses`"),
	same("EndControlCall", ofCall+"statusCode`, `output`; "+ofResource+"controlResults`"),
	same("EndTypeControlCall", ofCall+"statusCode`, `output`; "+ofGroup+"types[].controlResults`"),
	same("ExtendControlCall", ofCall+"deadlineTime`"),
	same("ExtendResTypeControlCall", ofCall+"deadlineTime`"),
	same("LogEvent", "the monitor's cluster log and its ring; an Event from level Error up"),
	same("QuorumResourceLost", "ClusterResource condition `Arbitrated`; Event"),
	same("RaiseResTypeNotification", ofGroup+"types[].notifications`; Event"),
	{"ResourceCallback", "EnumResources", "the provider, for each resource of its group"},
	{"ResourceCallbackEx", "EnumResources", "the provider, for each resource of a type in the namespace"},
	same("SetInternalState", ofResource+"applicationStates`; conditions `ApplicationReady`, `OSHeartBeat`"),
	same("SetResourceInMemoryNodeLocalProperties", ofResource+"nodeLocalProperties`; wide columns"),
	same("SetResourceLockedMode", ofResource+"lockedMode`; condition `Locked`"),
	same("SetResourceStatus", ofResource+"state`, `checkPoint`"),
	same("SetResourceStatusEx", ofResource+"state`, `checkPoint`, `statusFlags`, `applicationErrorCode`, "+
		"`lastOperationStatusCode`"),
	same("SignalFailure", ofResource+"lastFailure`, `failuresInPeriod`; conditions; Event"),
	{"WorkerStartRoutine", "SetResourceStatusEx", "the provider: StartWorker of the Go SDK"},
	// Later ones, RA 1.19.
	same("SetResourceLockedModeEx", ofResource+"lockedMode`; condition `Locked`"),
	same("RequestDump", ofResource+"lastDump`"),
	same("SetResourceWprPolicy", "nowhere: no published contract, answers UNIMPLEMENTED"),
	same("ArmWprWatchdogForCurrentResourceCall", "nowhere: no published contract, answers UNIMPLEMENTED"),
	// Entry points, RA 2.1.
	same("Startup", "the cluster log, if no version fits"),
	same("Open", ofResource+"state`"),
	same("Close", "the object's end"),
	same("Online", ofResource+"state`"),
	same("Offline", ofResource+"state`"),
	same("Terminate", ofResource+"state`"),
	same("LooksAlive", ofResource+"lastFailure`"),
	same("IsAlive", ofResource+"lastFailure`"),
	same("Arbitrate", "ClusterResource condition `Arbitrated`"),
	same("Release", "ClusterResource condition `Arbitrated`"),
	same("ResourceControl", ofCall+"output`"),
	same("ResourceTypeControl", ofCall+"output`"),
	same("Cancel", ofCall+"conditions`"),
	same("BeginResourceControl", ofCall+"output`"),
	same("BeginResourceTypeControl", ofCall+"output`"),
	same("BeginResourceControlAsUser", ofCall+"output`"),
	same("BeginResourceTypeControlAsUser", ofCall+"output`"),
}
