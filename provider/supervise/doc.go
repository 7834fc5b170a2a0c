// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package supervise runs programs so that "stopped" can be proven: nothing of a
// program is left, daemons that double-forked into a session of their own included,
// without cgroups, without privileges and without a shell.
//
// Each program runs under a process of its own, the shim, which is the provider's
// own binary started again. The shim is a child subreaper: whoever in its tree
// loses its parent becomes a child of the shim, wherever it went with setsid or
// setpgid. So the moment at which the kernel tells the shim that it has no child
// at all (wait4: ECHILD) is the moment at which nothing of the program is left.
// That answer is the proof; walking /proc only finds whom to kill.
//
// Who dies with whom:
//
//   - The program ends: the shim says so at once, kills what the program left
//     behind, and ends when it has no child any more.
//   - The provider dies: the shim reads the end of its socket and kills its tree.
//     (In a host pod init is faster.) The shim has no parent death signal: it
//     would die before it had cleaned up.
//   - The shim is killed: the kernel kills the program (parent death signal), and
//     the rest of the tree become children of the provider, itself a subreaper.
//     The provider kills every child that is not one of its shims. So a process
//     that uses this package must start its children with nothing else.
//
// What cannot be killed, because it runs as another user or hangs in the kernel,
// is named in the error of [Program.Kill]; the container has to go then.
package supervise
