// Package ui is the kit that pages are built from: the frame, tables, forms,
// charts, notices, and the links between pages. It knows how things look and
// read, and makes no call to the domain: a component takes one value.
package ui
