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
	last int64 // index of the newest row fetched
	same int   // how many rows with that index were fetched
	done bool
}

func newCursor[T any](r *Report, c Class, fetch func(context.Context, int64, int) ([]T, error), index func(T) int64) cursor[T] {
	return cursor[T]{fetch: fetch, index: index, report: r, class: c, last: math.MinInt64}
}

// peek returns the next row without moving on; ok is false at the end.
func (c *cursor[T]) peek(ctx context.Context) (row T, ok bool, err error) {
	if len(c.page) == 0 && !c.done {
		if err := c.next(ctx); err != nil {
			return row, false, err
		}
	}
	if len(c.page) == 0 {
		return row, false, nil
	}
	return c.page[0], true, nil
}

// next fetches a page. It starts at the last index seen and not after it:
// who may write the tables may have dropped their primary keys too, and a
// second row with one index must not hide behind the end of a page.
func (c *cursor[T]) next(ctx context.Context) error {
	page, err := c.fetch(ctx, c.last, pageSize)
	if err != nil {
		return err
	}
	skip := 0
	for skip < min(c.same, len(page)) && c.index(page[skip]) == c.last {
		skip++
	}
	if page = page[skip:]; len(page) == 0 && c.last < math.MaxInt64 {
		if page, err = c.fetch(ctx, c.last+1, pageSize); err != nil {
			return err
		}
	}
	for _, row := range page {
		if i := c.index(row); i != c.last {
			c.last, c.same = i, 0
		}
		c.same++
	}
	c.page, c.done = page, len(page) == 0
	return nil
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
