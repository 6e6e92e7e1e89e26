package models

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
)

// JSON is a JSON document in one form, whatever the engine does to it: keys sorted, no blanks,
// whole numbers without fraction or exponent, and numbers beyond 64 bits as the nearest
// double (as MySQL keeps them). The zero value is NULL, and so is the document null.
type JSON []byte

// maxDepth is how deep a document may be nested, which MariaDB decides.
const maxDepth = 31

var errTooDeep = fmt.Errorf("invalid JSON: nested deeper than %d levels, which MariaDB cannot store", maxDepth)

// ParseJSON reads a document, and says what is wrong with it when it is none, or one that some
// engine could not store.
func ParseJSON(text string) (JSON, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("invalid JSON: not UTF-8")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("invalid JSON: text after the document")
	}
	document, err := canonical(document, maxDepth)
	if err != nil || document == nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// canonical gives numbers one form, and refuses what PostgreSQL or MariaDB cannot store.
func canonical(value any, depth int) (_ any, err error) {
	switch v := value.(type) {
	case json.Number:
		return canonicalNumber(v)
	case string:
		if strings.ContainsRune(v, 0) {
			return nil, errors.New("invalid JSON: a string contains NUL, which PostgreSQL cannot store")
		}
	case []any:
		if depth == 0 {
			return nil, errTooDeep
		}
		for i := range v {
			if v[i], err = canonical(v[i], depth-1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if depth == 0 {
			return nil, errTooDeep
		}
		for key := range v {
			if _, err = canonical(key, depth); err != nil {
				return nil, err
			}
			if v[key], err = canonical(v[key], depth-1); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func canonicalNumber(n json.Number) (json.Number, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return json.Number(strconv.FormatInt(i, 10)), nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return json.Number(strconv.FormatUint(u, 10)), nil
	}
	f, err := n.Float64()
	switch whole := f == math.Trunc(f); {
	case err != nil:
		return "", fmt.Errorf("invalid JSON: number %s is out of range", n)
	case whole && f >= math.MinInt64 && f < 1<<63:
		return json.Number(strconv.FormatInt(int64(f), 10)), nil
	case whole && f > 0 && f < 1<<64:
		return json.Number(strconv.FormatUint(uint64(f), 10)), nil
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// Value implements [driver.Valuer]; it fails on text that is not JSON.
func (j JSON) Value() (driver.Value, error) {
	if j == nil {
		return nil, nil
	}
	canonical, err := ParseJSON(string(j))
	if err != nil || canonical == nil {
		return nil, err
	}
	return string(canonical), nil
}

// Scan implements [database/sql.Scanner]. What another program stored and [ParseJSON] would
// refuse is kept as it is: no run is to be stuck because of its configuration.
func (j *JSON) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*j = nil
	case []byte:
		return j.Scan(string(v))
	case string:
		read, err := ParseJSON(v)
		if err != nil {
			read = JSON(v)
		}
		*j = read
	case int64, float64, bool: // a document that is a scalar, in a column that SQLite gave a type
		return j.Scan(fmt.Sprint(v))
	default:
		return fmt.Errorf("cannot read JSON from %T", value)
	}
	return nil
}

// MarshalJSON is the document itself, or null.
func (j JSON) MarshalJSON() ([]byte, error) {
	switch canonical, err := ParseJSON(string(j)); {
	case j == nil, err == nil && canonical == nil:
		return []byte("null"), nil
	case err == nil:
		return canonical, nil
	}
	return j, nil // kept by Scan: package json says what is wrong with it, if anything
}

// UnmarshalJSON takes the document; null becomes NULL.
func (j *JSON) UnmarshalJSON(text []byte) (err error) {
	*j, err = ParseJSON(string(text))
	return err
}

// GormDataType tells GORM that this is not a blob.
func (JSON) GormDataType() string { return "json" }

// GormDBDataType is the column type on each engine.
func (JSON) GormDBDataType(db *gorm.DB, _ *schema.Field) string {
	return dialect.JSONType(db.Dialector)
}

// String is the document's text, empty for NULL.
func (j JSON) String() string { return string(j) }
