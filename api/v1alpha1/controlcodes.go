// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// CodeMove is the control code of a group that moves it to another host.
const CodeMove = "MOVE"

// DefaultControlCodes are the names of the codes that every group, resource and type
// has, sorted: those of RA sections 6.4 to 6.6 that monitors answer, or refuse, by
// themselves, and those that RA has as functions of their own. No type may declare one
// of them. Their numbers need no such list: they lack the mark of a user-defined code.
var DefaultControlCodes = []string{
	"ADD_DEPENDENCY",
	"ADD_OWNER",
	"CANCEL",
	"DELETE",
	"DUMP",
	"ENUM_COMMON_PROPERTIES",
	"ENUM_PRIVATE_PROPERTIES",
	"EVICT_NODE",
	"FAIL",
	"GET_ARB_TIMEOUT",
	"GET_CHARACTERISTICS",
	"GET_CLASS_INFO",
	"GET_COMMON_PROPERTIES",
	"GET_COMMON_PROPERTY_FMTS",
	"GET_COMMON_RESOURCE_PROPERTY_FMTS",
	"GET_FAILURE_INFO",
	"GET_FLAGS",
	"GET_ID",
	"GET_LOADBAL_PROCESS_LIST",
	"GET_NAME",
	"GET_OPERATION_CONTEXT",
	"GET_PRIVATE_PROPERTIES",
	"GET_PRIVATE_PROPERTY_FMTS",
	"GET_PRIVATE_RESOURCE_PROPERTY_FMTS",
	"GET_REQUIRED_DEPENDENCIES",
	"GET_RESOURCE_TYPE",
	"GET_RO_COMMON_PROPERTIES",
	"GET_RO_PRIVATE_PROPERTIES",
	"GET_STATE",
	"GET_STATE_CHANGE_TIME",
	"INITIALIZE",
	"INSTALL_NODE",
	"IS_QUORUM_BLOCKED",
	"MAINTENANCE",
	"MOVE",
	"NOTIFY_MONITOR_SHUTTING_DOWN",
	"OFFLINE",
	"ONLINE",
	"QUERY_DELETE",
	"QUERY_MAINTENANCE_MODE",
	"REMOVE_DEPENDENCY",
	"REMOVE_OWNER",
	"RESET-FAILURES",
	"SET_COMMON_PROPERTIES",
	"SET_MAINTENANCE_MODE",
	"SET_NAME",
	"SET_PRIVATE_PROPERTIES",
	"STARTING_PHASE1",
	"STARTING_PHASE2",
	"STATE_CHANGE_REASON",
	"UNKNOWN",
	"VALIDATE_COMMON_PROPERTIES",
	"VALIDATE_PRIVATE_PROPERTIES",
}
