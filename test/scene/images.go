// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Images are what the nodes must have, by the file in dist/images.
var images = []struct{ file, name string }{
	{"understudy.tar", "understudy:dev"},
	{"demo-redis.tar", "demo-redis:dev"},
	{"demo-programs.tar", "demo-programs:dev"},
}

// LoadImages builds all images and gives them to the nodes of a local cluster. On
// another cluster, its nodes must find them by their names.
func (c *Cluster) LoadImages(ctx context.Context) error {
	if c.Local == nil {
		for _, image := range images {
			c.Say("the cluster's nodes must have the image %s: `make images demo-images` makes dist/images/%s", image.name, image.file)
		}
		return nil
	}
	c.Say("building the images")
	_, err := Command{Args: []string{"make", "--silent", "images", "demo-images"}, Dir: c.root, Within: 30 * time.Minute}.Run(ctx)
	if err != nil {
		return err
	}
	for _, image := range images {
		c.Say("loading %s into the nodes", image.name)
		if err := c.Local.Load(ctx, filepath.Join(c.root, "dist", "images", image.file)); err != nil {
			return err
		}
	}
	return nil
}

// LoadOther builds the operator's image under another tag, from the same source with
// another version in it, and loads it into the nodes: what an upgrade goes to.
func (c *Cluster) LoadOther(ctx context.Context, tag string) error {
	c.Say("building and loading understudy:%s", tag)
	_, err := Command{Args: []string{"make", "--silent", "images", "TAG=" + tag, "VERSION=" + tag}, Dir: c.root,
		Within: 30 * time.Minute}.Run(ctx)
	if err != nil {
		return err
	}
	return c.Local.Load(ctx, filepath.Join(c.root, "dist", "images", "understudy-"+tag+".tar"))
}

// LoadPostgres builds the image of examples/fencing and loads it into the nodes.
func (c *Cluster) LoadPostgres(ctx context.Context) error {
	c.Say("building and loading demo-postgres:dev")
	_, err := Command{Args: []string{"make", "--silent", "postgres-image"}, Dir: c.root, Within: 30 * time.Minute}.Run(ctx)
	if err != nil {
		return err
	}
	return c.Local.Load(ctx, filepath.Join(c.root, "dist", "images", "demo-postgres.tar"))
}

// imageMark tells one build of the operator's image from another of the same name.
func (c *Cluster) imageMark() (string, error) {
	f, err := os.Open(filepath.Join(c.root, "dist", "images", images[0].file))
	if err != nil {
		return "", fmt.Errorf("the operator's image: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// SameImage compares what kubelet reports of a container's image, which may have the
// name of a registry in front, with what a spec says.
func SameImage(reported, wanted string) bool {
	return reported == wanted || strings.HasSuffix(reported, "/"+wanted)
}
