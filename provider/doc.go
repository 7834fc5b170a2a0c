// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provider is the Go SDK for providers: processes that bring resources
// online and offline on behalf of a monitor, as a resource DLL does for a
// Resource Monitor. "RA n" is section n of the resource API reference that the
// protocol (api/provider/v1/provider.proto) follows.
//
// A provider implements [Type], whose Open makes a [Resource], and calls [Main]:
//
//	func main() {
//		provider.Main(provider.Provider{
//			Name:  "files.example.com",
//			Types: map[string]provider.Type{"mount": mountType{}},
//		})
//	}
//
// What a provider need not care about, because the SDK does it:
//
//   - Every call may be repeated, and continues where it was left off; Open by a
//     monitor that was restarted answers with the present state (RA 2.4,
//     RECOVER_MONITOR_STATE). A monitor may come and go at any time: calls that
//     run and workers that work go on without it.
//   - At most one state-changing call at a time per resource; another is ABORTED.
//     Terminate alone may overlap: it cancels what is under way, and waits for it.
//   - Long work runs in a worker (RA 1.18, 2.2): return a [Work] from Online or
//     Offline and the call is answered with 997 ERROR_IO_PENDING.
//   - Reports are sent in order, one resource at a time, until the monitor answers
//     or a newer call supersedes them.
//   - A panic in a call is answered with 5930 ERROR_EXCEPTION_IN_RESOURCE_CALL.
//
// A provider does not stop on its own. SIGTERM comes from init alone and means
// that ownership is about to end: everything is terminated at once, then the
// process ends.
package provider
