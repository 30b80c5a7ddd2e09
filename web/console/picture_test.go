package console_test

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
)

// picturesEnv, when set, has the tests write the pictures that the manual shows.
const picturesEnv = "GATEHOUSE_PICTURES"

var pictureFolder = filepath.Join("..", "..", "embed", "docs", "pictures")

// keep writes the page, up to the height, as a picture for the manual.
func (p *tab) keep(name string, height float64) {
	p.t.Helper()
	if os.Getenv(picturesEnv) == "" {
		return
	}
	full, err := png.Decode(bytes.NewReader(p.picture(height)))
	p.must(err)
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	p.must(encoder.Encode(&small, inFewColours(full)))
	p.must(os.MkdirAll(pictureFolder, 0o755))
	p.must(os.WriteFile(filepath.Join(pictureFolder, name+".png"), small.Bytes(), 0o644))
}

func (p *tab) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// inFewColours maps an image to 256 of its colours. A page has few that cover
// areas; the edges of letters take the nearest.
func inFewColours(full image.Image) *image.Paletted {
	bounds := full.Bounds()
	counts := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[rgba(full.At(x, y))]++
		}
	}
	var colours []color.RGBA
	for c := range counts {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(key(a), key(b)))
	})
	palette := choose(colours)
	small, index := image.NewPaletted(bounds, palette), map[color.RGBA]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := rgba(full.At(x, y))
			at, ok := index[c]
			if !ok {
				at = uint8(palette.Index(c))
				index[c] = at
			}
			small.SetColorIndex(x, y, at)
		}
	}
	return small
}

// choose takes the most frequent colours that differ from those taken already,
// so that many shades of one letter do not push out the only red dot.
func choose(colours []color.RGBA) color.Palette {
	for apart := 20; ; apart -= 4 {
		var palette color.Palette
		for _, c := range colours {
			if !slices.ContainsFunc(palette, func(taken color.Color) bool { return distance(taken.(color.RGBA), c) < apart }) {
				palette = append(palette, c)
			}
			if len(palette) == 256 {
				return palette
			}
		}
		if apart <= 0 {
			return palette
		}
	}
}

func distance(a, b color.RGBA) int {
	return abs(int(a.R)-int(b.R)) + abs(int(a.G)-int(b.G)) + abs(int(a.B)-int(b.B))
}

func abs(n int) int { return max(n, -n) }

func rgba(c color.Color) color.RGBA { return color.RGBAModel.Convert(c).(color.RGBA) }

func key(c color.RGBA) uint32 { return uint32(c.R)<<16 | uint32(c.G)<<8 | uint32(c.B) }
