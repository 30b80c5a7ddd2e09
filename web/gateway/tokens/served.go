package tokens

import (
	"encoding/json"

	"gatehouse/app"
)

// Vendors serve a call in tiers and regions that have prices of their own, and
// tell in the answer which it was:
//   - OpenAI, and what is compatible: "service_tier" beside the usage. What a
//     call does not say is left to the settings of its project. "fast" and
//     "priority" are two names of one tier.
//   - Anthropic: "speed" and "inference_geo" within the usage; the region may be
//     a setting of the workspace. Its "service_tier" draws on capacity that was
//     bought before, so it is not what a call costs.

// readTier finds what the call asks for.
func (c *Call) readTier(f *fields) {
	switch c.Kind {
	case KindChat, KindResponse:
		c.Tier = app.AnyTier
		if tier := f.text("service_tier"); tier != "" && tier != "auto" {
			c.Tier = openAITier(tier)
		}
	case KindMessage:
		c.Tier, c.Region = anthropicSpeed(f.text("speed")), app.AnyRegion
		if region := f.text("inference_geo"); region != "" {
			c.Region = anthropicRegion(region)
		}
	}
}

// openAITier is the name that a tier has in rates: "" for the standard one,
// however vendors call it.
func openAITier(told string) string {
	switch told {
	case "default", "standard", "auto", "on_demand":
		return ""
	case "fast":
		return "priority"
	}
	return told
}

// anthropicSpeed is the name that a speed has in rates, as a tier.
func anthropicSpeed(told string) string {
	if told == "standard" {
		return ""
	}
	return told
}

// anthropicRegion is the name that a region has in rates: "" for anywhere.
func anthropicRegion(told string) string {
	if told == "global" || told == "not_available" {
		return ""
	}
	return told
}

// serve notes how the call was served, by what stands beside the usage.
func (r *Reader) serve(tier string) {
	if tier != "" && r.call.API != app.EgressAnthropic {
		r.sums.tier, r.sums.hasTier = openAITier(tier), true
	}
}

// searched counts an item of OpenAI's output where it is a search of the web.
func (r *Reader) searched(kind string) {
	if kind == searchCall {
		r.sums.searches++
	}
}

// countSearches counts them in the output as a whole.
func (r *Reader) countSearches(output json.RawMessage) {
	var items []struct {
		Type string `json:"type"`
	}
	if r.call.Searches == 0 || json.Unmarshal(output, &items) != nil {
		return
	}
	for _, item := range items {
		r.searched(item.Type)
	}
}

// searchCall is the type of such an item.
const searchCall = "web_search_call"

// priced is the usage with what else has a price of its own. Where the answer
// does not say how it was served, it is as the call asked: vendors without tiers
// say nothing. Of an answer that broke off before it could say, nothing is known.
func (r *Reader) priced(u app.TokenUsage) app.TokenUsage {
	silent := r.ended || r.mode == modeEvents || r.call.API == app.EgressAnthropic
	u.Tier, u.Region, u.Other = r.call.Tier, r.call.Region, r.call.Other
	switch {
	case r.sums.hasTier:
		u.Tier = r.sums.tier
	case silent && u.Tier == app.AnyTier, u.Tier == "flex": // what is cheaper counts only where it is confirmed
		u.Tier = ""
	}
	switch {
	case r.sums.hasRegion:
		u.Region = r.sums.region
	case silent && u.Region == app.AnyRegion:
		u.Region = ""
	}
	if r.call.Searches > 0 {
		u.Searches = r.sums.searches
	}
	if !r.sums.hasLong && r.call.Long {
		u.CacheWriteLong = u.CacheWrite
	}
	u.CacheWriteLong = min(u.CacheWriteLong, u.CacheWrite)
	return u
}
