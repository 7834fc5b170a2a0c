// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is Understudy's manager: it validates, plans and keeps host
// pods. See package controllers.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/understudy-dev/understudy/controllers"
)

// version is set by the linker.
var version = "unknown"

// leaderElectionID is the Lease of the managers. It is no group's, so it has
// none of their prefix.
const leaderElectionID = "manager.understudy.dev"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		o       controllers.Options
		metrics = flag.String("metrics-address", ":8080", "Address on which metrics are served; 0 turns them off.")
		health  = flag.String("health-address", ":8081", "Address on which health is served; 0 turns it off.")
		elect   = flag.Bool("leader-elect", true, "Elect a leader among several managers.")
		logging = textlogger.NewConfig()
	)
	flag.StringVar(&o.Image, "image", os.Getenv("UNDERSTUDY_IMAGE"),
		"Image that host pods run init and monitor from: the operator's own. Default $UNDERSTUDY_IMAGE.")
	flag.IntVar(&o.MaxRollingGroups, "max-rolling-groups", controllers.DefaultMaxRollingGroups,
		"How many groups are rolled out at once: a template that changed, or the image of their monitors.")
	flag.IntVar(&o.MaxFencingNodes, "max-fencing-nodes", controllers.DefaultMaxFencingNodes,
		"How many nodes are ended at once, by the agents of groups with the policy Fence.")
	logging.AddFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(textlogger.NewLogger(logging))
	log := ctrl.Log.WithName("setup")
	log.Info("Starting the manager", "version", version, "image", o.Image,
		"maxRollingGroups", o.MaxRollingGroups, "maxFencingNodes", o.MaxFencingNodes,
		"metricsAddress", *metrics, "healthAddress", *health, "leaderElect", *elect)

	scheme, err := controllers.NewScheme()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(),
		Metrics:                       metricsserver.Options{BindAddress: *metrics},
		HealthProbeBindAddress:        *health,
		LeaderElection:                *elect,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       new(10 * time.Second),
	})
	if err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	if err := controllers.Setup(ctx, mgr, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
