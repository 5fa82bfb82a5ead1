package parse

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// scalarKind is what a scalar is in JSON.
type scalarKind int

const (
	text scalarKind = iota
	number
	boolean
	null
)

// resolved is a scalar as kubectl resolves it: by YAML 1.1, in which "yes" is true.
type resolved struct {
	kind scalarKind
	text string // if kind is text
	json string // if it is not
}

func scalar(n *yaml.Node) resolved {
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() == "!!binary" {
		if b, err := base64.StdEncoding.DecodeString(n.Value); err == nil {
			return resolved{text: strings.ToValidUTF8(string(b), "\uFFFD")}
		}
	}
	if !isPlain(n) {
		return resolved{text: n.Value}
	}
	if n.Value == "" {
		return resolved{kind: null, json: "null"}
	}
	if strings.IndexByte("yYnNtTfFoO~", n.Value[0]) >= 0 {
		return word(n.Value)
	}
	return numeric(n.Value)
}

// numeric is a plain scalar that is a number, if it is one.
func numeric(s string) resolved {
	if strings.IndexByte("0123456789+-.", s[0]) < 0 || strings.ContainsAny(s, " \t\r\n") {
		return resolved{text: s}
	}
	if isDecimal(s) {
		return resolved{kind: number, json: s}
	}
	out, err := kyaml.YAMLToJSON([]byte(s))
	if err != nil || !json.Valid(out) {
		return resolved{text: s}
	}
	if out = bytes.TrimSpace(out); out[0] != '-' && (out[0] < '0' || out[0] > '9') {
		return resolved{text: s}
	}
	return resolved{kind: number, json: string(out)}
}

func word(s string) resolved {
	switch s {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return resolved{kind: boolean, json: "true"}
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return resolved{kind: boolean, json: "false"}
	case "~", "null", "Null", "NULL":
		return resolved{kind: null, json: "null"}
	}
	return resolved{text: s}
}

// isDecimal reports whether s is a whole number as JSON writes one, which fits.
func isDecimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 18 || digits[0] == '0' && len(s) > 1 {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// describe says what a node is, without its value, which may be a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch scalar(n).kind {
	case number:
		return "a number"
	case boolean:
		return "true or false"
	case null:
		return "nothing"
	default:
		return "text"
	}
}
