package store

import (
	"context"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// liteConnector connects to SQLite with connections that keep their
// statements prepared, as pgx does by itself: to parse and plan a short
// statement takes longer than to run it.
type liteConnector struct{ dsn string }

// Driver implements driver.Connector.
func (c liteConnector) Driver() driver.Driver { return new(sqlite.Driver) }

// Connect implements driver.Connector.
func (c liteConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, fmt.Errorf("store: %T lacks a method that the SQLite driver used to have", conn)
	}
	return &liteConn{fullConn: full, kept: map[string]*liteStmt{}}, nil
}

// fullConn is all that database/sql may ask of a connection.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// maxKept bounds the statements that a connection keeps.
const maxKept = 100

// liteConn is one connection. database/sql uses it from one goroutine at a
// time, but may run a statement while the rows of another are open.
type liteConn struct {
	fullConn
	kept map[string]*liteStmt
}

// liteStmt is a kept statement. It runs once at a time.
type liteStmt struct {
	driver.Stmt
	busy bool
}

// stmt returns the kept statement of a text; nil: run the text itself, since
// the statement's rows are still open.
func (c *liteConn) stmt(ctx context.Context, query string) (*liteStmt, error) {
	if s := c.kept[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	for old, s := range c.kept {
		if len(c.kept) < maxKept {
			break
		}
		if !s.busy {
			delete(c.kept, old)
			if err := s.Close(); err != nil {
				return nil, err
			}
		}
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &liteStmt{Stmt: prepared}
	c.kept[query] = s
	return s, nil
}

// ExecContext implements driver.ExecerContext.
func (c *liteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := storable(args); err != nil {
		return nil, err
	}
	s, err := c.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.fullConn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *liteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := storable(args); err != nil {
		return nil, err
	}
	s, err := c.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.fullConn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &liteRows{Rows: rows, stmt: s}, nil
}

// Close implements driver.Conn.
func (c *liteConn) Close() error {
	for query, s := range c.kept {
		delete(c.kept, query)
		_ = s.Close() // closing the connection reports what matters
	}
	return c.fullConn.Close()
}

// liteRows frees the statement when they are closed.
type liteRows struct {
	driver.Rows
	stmt *liteStmt
}

// Close implements driver.Rows.
func (r *liteRows) Close() error {
	r.stmt.busy = false
	return r.Rows.Close()
}
