// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import "fmt"

// Code is a system error code, RA 3.6.
type Code uint32

// The codes that are part of the contract, RA 3.6.
const (
	Success                     Code = 0
	ErrorInvalidFunction        Code = 1
	ErrorInvalidHandle          Code = 6
	ErrorInvalidData            Code = 13
	ErrorInvalidParameter       Code = 87
	ErrorInsufficientBuffer     Code = 122
	ErrorMoreData               Code = 234
	ErrorNoMoreItems            Code = 259
	ErrorOperationAborted       Code = 995
	ErrorIOPending              Code = 997
	ErrorRevisionMismatch       Code = 1306
	ErrorResourceNotOnline      Code = 5004
	ErrorResourceNotAvailable   Code = 5006
	ErrorResourceNotFound       Code = 5007
	ErrorOnlineFailed           Code = 5018
	ErrorNotQuorumCapable       Code = 5021
	ErrorClusterShuttingDown    Code = 5022
	ErrorInvalidState           Code = 5023
	ErrorPropertiesStored       Code = 5024
	ErrorResourceFailed         Code = 5038
	ErrorNodeCantHostResource   Code = 5071
	ErrorTypeNotFound           Code = 5078
	ErrorTypeNotSupported       Code = 5079
	ErrorNameNotFound           Code = 5080
	ErrorResourceCallTimedOut   Code = 5910
	ErrorExceptionInCall        Code = 5930
	ErrorProviderFailed         Code = 5942
	ErrorConfiguration          Code = 5943
	ErrorVetoedCall             Code = 5955
	ErrorSystemResourcesLacking Code = 5956
	ErrorResourceLocked         Code = 5960
)

// The names of RA 3.6, for messages.
var codeNames = map[Code]string{
	Success:                     "ERROR_SUCCESS",
	ErrorInvalidFunction:        "ERROR_INVALID_FUNCTION",
	ErrorInvalidHandle:          "ERROR_INVALID_HANDLE",
	ErrorInvalidData:            "ERROR_INVALID_DATA",
	ErrorInvalidParameter:       "ERROR_INVALID_PARAMETER",
	ErrorInsufficientBuffer:     "ERROR_INSUFFICIENT_BUFFER",
	ErrorMoreData:               "ERROR_MORE_DATA",
	ErrorNoMoreItems:            "ERROR_NO_MORE_ITEMS",
	ErrorOperationAborted:       "ERROR_OPERATION_ABORTED",
	ErrorIOPending:              "ERROR_IO_PENDING",
	ErrorRevisionMismatch:       "ERROR_REVISION_MISMATCH",
	ErrorResourceNotOnline:      "ERROR_RESOURCE_NOT_ONLINE",
	ErrorResourceNotAvailable:   "ERROR_RESOURCE_NOT_AVAILABLE",
	ErrorResourceNotFound:       "ERROR_RESOURCE_NOT_FOUND",
	ErrorOnlineFailed:           "ERROR_RESMON_ONLINE_FAILED",
	ErrorNotQuorumCapable:       "ERROR_NOT_QUORUM_CAPABLE",
	ErrorClusterShuttingDown:    "ERROR_CLUSTER_SHUTTING_DOWN",
	ErrorInvalidState:           "ERROR_INVALID_STATE",
	ErrorPropertiesStored:       "ERROR_RESOURCE_PROPERTIES_STORED",
	ErrorResourceFailed:         "ERROR_RESOURCE_FAILED",
	ErrorNodeCantHostResource:   "ERROR_NODE_CANT_HOST_RESOURCE",
	ErrorTypeNotFound:           "ERROR_CLUSTER_RESOURCE_TYPE_NOT_FOUND",
	ErrorTypeNotSupported:       "ERROR_CLUSTER_RESTYPE_NOT_SUPPORTED",
	ErrorNameNotFound:           "ERROR_CLUSTER_RESNAME_NOT_FOUND",
	ErrorResourceCallTimedOut:   "ERROR_RESOURCE_CALL_TIMED_OUT",
	ErrorExceptionInCall:        "ERROR_EXCEPTION_IN_RESOURCE_CALL",
	ErrorProviderFailed:         "ERROR_CLUSTER_RESOURCE_PROVIDER_FAILED",
	ErrorConfiguration:          "ERROR_CLUSTER_RESOURCE_CONFIGURATION_ERROR",
	ErrorVetoedCall:             "ERROR_CLUSTER_RESOURCE_VETOED_CALL",
	ErrorSystemResourcesLacking: "ERROR_RESMON_SYSTEM_RESOURCES_LACKING",
	ErrorResourceLocked:         "ERROR_CLUSTER_RESOURCE_LOCKED_STATUS",
}

// String is the number and the name: "5038 ERROR_RESOURCE_FAILED".
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return fmt.Sprintf("%d %s", uint32(c), name)
	}
	return fmt.Sprintf("%d", uint32(c))
}
