package main

import "github.com/spf13/cobra"

// commands lists what `gatehouse` can do, in the order of its help.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.serveCommand(),
		c.demoCommand(),
		c.initCommand(),
		c.configCommand(),
		c.operatorCommand(),
		c.orgCommand(),
		c.keyCommand(),
		c.planCommand(),
		c.routeCommand(),
		c.usageCommand(),
		c.meterCommand(),
		c.quotaCommand(),
		c.rateCommand(),
		c.stripeCommand(),
		c.doctorCommand(),
		c.versionCommand(),
		c.manCommand(),
	}
}
