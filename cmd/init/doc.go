// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Init is PID 1 of every container that Understudy supervises.
//
//	init --guard-dir DIR [--name NAME] -- CHILD [ARG...]   a provider, under a guard
//	init [--name NAME] -- CHILD [ARG...]                   the monitor, kept running
//	init copy DIR FILE...                                  install programs into a volume
//	init alive --guard-dir DIR                             kubelet's liveness probe
//
// Under a guard it connects to DIR/guard.sock, gets the secret of its life from
// the monitor, starts the child and restarts it in milliseconds whenever it
// dies. At the hard guard, an absolute CLOCK_BOOTTIME that the monitor keeps
// moving, it kills all but itself, proves that nothing is left, and exits if it
// cannot: the kernel then kills the whole PID namespace. A stop signal, whatever
// its number, is a request to hand over, and is passed on to the monitor.
//
// Without a guard the child is restarted for ever, and stop signals go to it.
//
// The child inherits stdin, stdout, stderr and the environment, to which a
// guarded one finds UNDERSTUDY_NONCE added: the name of the period between two
// moments at which the container was proven empty.
//
// Exit codes: 0 when asked to end, 1 when the container could not be proven
// empty or the child died ten times within a minute, 2 for a wrong command line
// or environment, 126 or 127 when the child's program cannot be run. Without a
// guard and after SIGTERM, SIGINT or SIGQUIT it is the child's own. The probe
// ends with 1 if the monitor waits in vain for the proof that the container is
// empty: the init that is asked hangs, so the monitor says so, in DIR.
//
// It imports nothing but the standard library and the guard's wire format, and
// needs no shell, no write access and no particular user.
package main
