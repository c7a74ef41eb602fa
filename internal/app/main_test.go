package app_test

import (
	"testing"

	"avalo.app/gantry/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
