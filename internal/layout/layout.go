// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package layout names what pod builder, monitor, init and providers must agree
// on: paths, environment variables and volumes of a host pod. Constants only.
package layout

import "path"

// Folders and files in the containers of a host pod.
const (
	// BinDir holds init and the built-in provider in every supervised container.
	BinDir = "/understudy/bin"
	// InitPath is PID 1 of a supervised container.
	InitPath = BinDir + "/init"
	// ProviderPath is the built-in provider.
	ProviderPath = BinDir + "/provider"

	// MonitorDir is the folder of the monitor's sockets as a supervised
	// container sees it: read-only, so that no program can unlink them.
	MonitorDir = "/understudy/monitor"
	// ProviderDir is the folder in which a provider makes its socket, and what it wants
	// others in its container to see: little, as it is in memory.
	ProviderDir = "/understudy/provider"
	// DumpDir is where init writes dumps: a volume of the container, which the monitor
	// sees read-only.
	DumpDir = "/understudy/dumps"

	// StateDir holds the monitor's journal. It lives as long as the pod.
	StateDir = "/understudy/state"
	// ContainersDir holds, in the monitor, the folders of each supervised container.
	ContainersDir = "/understudy/containers"
	// TokenDir holds the API token, in the monitor alone.
	TokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"

	// MonitorSocket is the name of the socket on which the monitor serves callbacks.
	MonitorSocket = "monitor.sock"
	// ProviderSocket is the name of the socket on which a provider serves.
	ProviderSocket = "provider.sock"
)

// MonitorMemory is the limit of the monitor's container in bytes. From MonitorCollects on
// it would rather collect garbage than come closer to that.
const (
	MonitorMemory   = 128 << 20
	MonitorCollects = 80 << 20
)

// Programs in the operator's image.
const (
	// ImageInit is init in the image.
	ImageInit = "/init"
	// ImageMonitor is the monitor in the image.
	ImageMonitor = "/monitor"
	// ImageProvider is the built-in provider in the image.
	ImageProvider = "/provider"
)

// Environment variables of the monitor.
const (
	EnvPodName      = "POD_NAME"
	EnvPodNamespace = "POD_NAMESPACE"
	EnvPodUID       = "POD_UID"
	EnvPodIP        = "POD_IP"
	EnvNodeName     = "NODE_NAME"
	EnvGroup        = "UNDERSTUDY_GROUP"
	// EnvGrace is the termination grace period of the pod in seconds.
	EnvGrace = "UNDERSTUDY_GRACE_SECONDS"
	// EnvRecord is the file that a recording goes to; none if it is not set.
	EnvRecord = "UNDERSTUDY_RECORD"
)

// Environment variables of a provider.
const (
	EnvMonitorSocket  = "UNDERSTUDY_MONITOR_SOCKET"
	EnvProviderSocket = "UNDERSTUDY_PROVIDER_SOCKET"
)

// Names in the host pod that templates must leave alone.
const (
	// Reserved is the prefix of the containers and volumes that the builder adds.
	Reserved = "understudy-"
	// ReservedPath is the folder under which templates may not mount.
	ReservedPath = "/understudy"
	// MonitorContainer is the native sidecar.
	MonitorContainer = Reserved + "monitor"
	// ImageContainer is the only one of a pod that brings the image to a node.
	ImageContainer = Reserved + "image"
	// InstallContainer copies the binaries into the pod.
	InstallContainer = Reserved + "install"
	// TypeContainer begins the name of the container of a type that brings an image.
	TypeContainer = Reserved + "type-"
	// ResourceContainer begins the name of one that serves a single resource.
	ResourceContainer = Reserved + "resource-"
)

// MaxContainerName is how long the name of a supervised container may be: its
// longest socket, as the monitor sees it, then has the 107 characters of a path
// that a unix socket can have.
const MaxContainerName = 61

// ContainerMonitorDir is, in the monitor, the folder of its own sockets for a container.
func ContainerMonitorDir(container string) string {
	return path.Join(ContainersDir, container, "monitor")
}

// ContainerDumpDir is, in the monitor, the folder of the dumps of a container.
func ContainerDumpDir(container string) string {
	return path.Join(ContainersDir, container, "dumps")
}

// ContainerProviderDir is, in the monitor, the folder of the provider of a container.
func ContainerProviderDir(container string) string {
	return path.Join(ContainersDir, container, "provider")
}
