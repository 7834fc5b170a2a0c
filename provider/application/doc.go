// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package application is the built-in resource type "application": any program in
// any image. It starts a program at Online, asks it to end by a signal at Offline
// and then kills it, checks it by process, command, TCP, HTTP or gRPC, and reports
// its end at once. One provider process serves any number of resources.
//
// The program finds the epoch of its ownership in its environment, and everybody in
// the container in a file.
//
// "Stopped" is proven: nothing that the program started is left. See package
// supervise for how, and for who dies with whom.
//
// A program that puts itself into the background and lets its first process end
// (a classic daemon) is not supported: its first process's end is its failure, and
// what it left running is killed. Nearly all such programs have an option to stay
// in the foreground.
package application
