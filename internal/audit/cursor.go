package audit

import (
	"context"
	"math"
)

// pageSize is how many rows are held of each table: with private parts at
// their largest, 32 MiB.
const pageSize = 128

// cursor walks a paged table in step with the entries. Rows that no entry
// asks for are findings.
type cursor[T any] struct {
	fetch  func(ctx context.Context, from int64, limit int) ([]T, error)
	index  func(T) int64
	report *Report
	class  Class

	page []T
	from int64 // where the next page starts
	done bool
}

func newCursor[T any](r *Report, c Class, fetch func(context.Context, int64, int) ([]T, error), index func(T) int64) cursor[T] {
	return cursor[T]{fetch: fetch, index: index, report: r, class: c, from: math.MinInt64}
}

// peek returns the next row without moving on; ok is false at the end.
func (c *cursor[T]) peek(ctx context.Context) (row T, ok bool, err error) {
	if len(c.page) == 0 && !c.done {
		if c.page, err = c.fetch(ctx, c.from, pageSize); err != nil {
			return row, false, err
		}
		if len(c.page) > 0 {
			last := c.index(c.page[len(c.page)-1])
			c.from, c.done = last+1, last == math.MaxInt64
		} else {
			c.done = true
		}
	}
	if len(c.page) == 0 {
		return row, false, nil
	}
	return c.page[0], true, nil
}

// at returns the row with index i, if there is one, and moves past it.
func (c *cursor[T]) at(ctx context.Context, i int64) (row T, ok bool, err error) {
	for {
		row, ok, err = c.peek(ctx)
		if err != nil || !ok || c.index(row) > i {
			var none T
			return none, false, err
		}
		c.page = c.page[1:]
		if c.index(row) == i {
			return row, true, nil
		}
		c.stray(row)
	}
}

// drain reports all rows that are left.
func (c *cursor[T]) drain(ctx context.Context) error {
	for {
		row, ok, err := c.peek(ctx)
		if err != nil || !ok {
			return err
		}
		c.page = c.page[1:]
		c.stray(row)
	}
}

func (c *cursor[T]) stray(row T) {
	i := c.index(row)
	if i < 0 {
		c.report.add(c.class, -1, "a row has the index %d, which is no entry's", i)
		return
	}
	c.report.add(c.class, i, "not part of the log: its row is beyond the end or there twice")
}
