package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build (-X main.version=1.2.3).
var version = "dev"

// versionDocument is the shape of `version --json`.
type versionDocument struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionDocument {
	v := versionDocument{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this binary",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			return c.show(v, func(t *table) {
				t.row("gatehouse " + v.Version + " (" + v.Go + ", " + v.Platform + ")")
			})
		},
	}
}
