package config

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a configuration file. The parser recurses and its time grows with
// the square of a mapping's keys, so both are bounded before it runs.
const (
	maxSize   = 1 << 20 // bytes
	maxKeys   = 10_000
	maxNested = 16 // { or [ within each other
	maxIndent = 80 // columns
)

// parse returns the top mapping of a document, nil for an empty one.
func parse(data []byte) (root ast.Node, ps Problems) {
	if len(data) > maxSize {
		return nil, Problems{{Text: fmt.Sprintf("the file has %d bytes; a configuration has at most %d", len(data), maxSize)}}
	}
	if !utf8.Valid(data) {
		return nil, Problems{{Text: "the file is not UTF-8 text"}}
	}
	defer func() {
		// The library is known to panic on some malformed documents.
		if recover() != nil {
			root, ps = nil, Problems{{Text: "the file is not valid YAML"}}
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if ps := guard(tokens); len(ps) > 0 {
		return nil, ps
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err)
	}
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			return nil, Problems{problemAt(d.Body.GetToken(), "", "a second document starts here; a configuration is one document")}
		}
		root = d.Body
	}
	return root, nil
}

// guard refuses what a configuration does not need and a parser may choke
// on: deep nesting, and anchors with their aliases, which make small files
// grow without bound.
func guard(tokens token.Tokens) Problems {
	nested, line, keys := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			nested++
		case token.MappingEndType, token.SequenceEndType:
			nested--
		case token.MappingValueType:
			if keys++; keys > maxKeys {
				return Problems{problemAt(t, "", fmt.Sprintf("the document has more than %d keys", maxKeys))}
			}
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return Problems{problemAt(t, "", "anchors, aliases and merge keys are not supported; write the value out")}
		case token.TagType, token.DirectiveType, token.MappingKeyType:
			return Problems{problemAt(t, "", fmt.Sprintf("%q is YAML that a configuration does not need; leave it out", clip(t.Value)))}
		}
		indents := t.Position.Line != line || t.Type == token.SequenceEntryType
		line = t.Position.Line
		if nested > maxNested || indents && nested == 0 && t.Position.Column > maxIndent && t.Type != token.CommentType {
			return Problems{problemAt(t, "", "the document is nested too deep")}
		}
	}
	return nil
}

// syntaxProblem keeps the message and place of a parser's error, not the
// excerpt of the file that it carries.
func syntaxProblem(err error) Problems {
	var e yaml.Error
	if !errors.As(err, &e) {
		return Problems{{Text: "the file is not valid YAML"}}
	}
	return Problems{problemAt(e.GetToken(), "", "not valid YAML: "+clip(e.GetMessage()))}
}

func problemAt(t *token.Token, path, text string) Problem {
	p := Problem{Path: path, Text: text}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	return p
}

// entries returns the pairs of a mapping; ok is false for any other node.
func entries(n ast.Node) (pairs []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// firstToken is where a node starts; a block mapping's own token is its
// first colon.
func firstToken(n ast.Node) *token.Token {
	if pairs, ok := entries(n); ok && len(pairs) > 0 && n.GetToken().Type == token.MappingValueType {
		return pairs[0].Key.GetToken()
	}
	return n.GetToken()
}

// describe names what was found for an error, without its value.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	}
	return "text"
}
