package models_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/models"
)

// documents and their one form.
var documents = map[string]string{
	`{}`: `{}`, ` [ ] `: `[]`, `""`: `""`, `true`: `true`, `{"b":1, "a":{"d":null,"c":[]}}`: `{"a":{"c":[],"d":null},"b":1}`,
	`1`: `1`, `1.0`: `1`, `1e2`: `100`, `-0`: `0`, `-0.0`: `0`, `0.1`: `0.1`, `1.50`: `1.5`, `1E-7`: `1e-07`, `1.5e300`: `1.5e+300`,
	`9007199254740993`: `9007199254740993`, `9007199254740993.0`: `9007199254740992`, `1e18`: `1000000000000000000`,
	`9223372036854775807`: `9223372036854775807`, `-9223372036854775808`: `-9223372036854775808`, `9223372036854775808`: `9223372036854775808`,
	`-9223372036854775809`: `-9223372036854775808`, `18446744073709551615`: `18446744073709551615`, `18446744073709551616`: `1.8446744073709552e+19`,
	`1.2e19`: `12000000000000000000`, `123456789012345678901234567890`: `1.2345678901234568e+29`, `-1e30`: `-1e+30`,
	`1.7976931348623157e308`: `1.7976931348623157e+308`, `5e-324`: `5e-324`, `1e-400`: `0`,
	`{"a":1,"a":2}`: `{"a":2}`, `{"ключ":"значение 😀","\u006b":"\u00e9"}`: `{"k":"é","ключ":"значение 😀"}`,
	`"\ud83d\ude00"`: `"😀"`, `"\ud800"`: `"�"`, `"<&>\u2028\"\\\/\n"`: `"<&>\u2028\"\\/\n"`,
	`{"B":1,"a":2,"aa":3,"A":4,"":5}`: `{"":5,"A":4,"B":1,"a":2,"aa":3}`, `[[[[{"a":[1.0,{"b":[]}]}]]]]`: `[[[[{"a":[1,{"b":[]}]}]]]]`,
}

func TestParseJSON(t *testing.T) {
	for text, want := range documents {
		got, err := models.ParseJSON(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
		again, err := models.ParseJSON(got.String())
		require.NoError(t, err, text)
		require.Equal(t, got, again, "the form of the form")
	}
}

// refused are texts with a part of what is said about them.
var refused = map[string]string{
	``: "EOF", `{`: "EOF", `{} {}`: "text after the document", `{}]`: "text after the document", `nul`: "EOF", `{'a':1}`: "invalid character", `NaN`: "invalid character",
	`[1,]`: "invalid character", `1e400`: "number 1e400 is out of range", `[-1e400]`: "out of range", `{"a":"\u0000"}`: "NUL", `{"\u0000":1}`: "NUL", "\"\xff\"": "not UTF-8", `01`: "text after the document",
	strings.Repeat("[", 32) + strings.Repeat("]", 32): "deeper than 31", strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32): "deeper than 31",
}

func TestParseJSONRefuses(t *testing.T) {
	for text, says := range refused {
		_, err := models.ParseJSON(text)
		require.ErrorContains(t, err, says, text)
		require.ErrorContains(t, err, "invalid JSON: ", text)
		_, err = models.JSON(text).Value()
		require.Error(t, err, text)
		require.Error(t, new(models.JSON).UnmarshalJSON([]byte(text)), text)
	}
}

// TestNullDocument: a document that is null is no document, wherever it comes from.
func TestNullDocument(t *testing.T) {
	parsed, err := models.ParseJSON(" null ")
	require.NoError(t, err)
	require.Nil(t, parsed)
	for _, none := range []models.JSON{nil, models.JSON("null"), models.JSON(" null ")} {
		sent, err := none.Value()
		require.NoError(t, err)
		require.Nil(t, sent)
		text, err := json.Marshal(none)
		require.NoError(t, err)
		require.Equal(t, "null", string(text))
	}
	for _, raw := range []any{nil, "null", []byte(" null")} {
		read := models.JSON("{}")
		require.NoError(t, read.Scan(raw))
		require.Nil(t, read)
	}
	read := struct{ Doc models.JSON }{models.JSON("{}")}
	require.NoError(t, json.Unmarshal([]byte(`{"Doc": null}`), &read))
	require.Nil(t, read.Doc)
	require.Empty(t, read.Doc.String())
	require.Error(t, new(models.JSON).Scan(7))
}

// TestJSONInJSON: a document is part of another as it is, not as text.
func TestJSONInJSON(t *testing.T) {
	text, err := json.Marshal(map[string]models.JSON{"conf": models.JSON(`{"b":1.0,"a":"<"}`)})
	require.NoError(t, err)
	require.JSONEq(t, `{"conf":{"a":"<","b":1}}`, string(text))
	var read map[string]models.JSON
	require.NoError(t, json.Unmarshal([]byte(`{"conf":{"b":1.0,"a":"<"}}`), &read))
	require.Equal(t, `{"a":"<","b":1}`, read["conf"].String())
	text, err = json.Marshal(models.JSON("1e400"))
	require.NoError(t, err, "what is JSON but too large for usher is still JSON")
	require.Equal(t, "1e400", string(text))
	_, err = json.Marshal(models.JSON("{"))
	require.Error(t, err)
}

func documentsReadBack(v *values) {
	for text, want := range documents {
		v.stores(text, want)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 { // doubles of all sizes, and whole numbers around the borders
		f := math.Float64frombits(random.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		parsed, err := models.ParseJSON(strconv.FormatFloat(f, 'g', -1, 64))
		require.NoError(v, err)
		v.stores(parsed.String(), parsed.String())
		v.stores(strconv.FormatFloat(math.Ldexp(random.Float64(), 50+random.IntN(20)), 'f', 3, 64), "")
	}
}

// stores writes a document and reads it in its one form: want, or else that of ParseJSON.
func (v *values) stores(text, want string) {
	if want == "" {
		parsed, err := models.ParseJSON(text)
		require.NoError(v, err)
		want = parsed.String()
	}
	row := value{Doc: models.JSON(text)}
	require.NoError(v, v.db.Create(&row).Error, text)
	var read value
	require.NoError(v, v.db.Take(&read, row.ID).Error, text)
	require.Equal(v, want, read.Doc.String(), text)
}

// documentsOfOthers: what another program stored is read, even if usher would not have stored it.
func documentsOfOthers(v *values) {
	for _, text := range []string{`{"b": 1.0, "a": [ 1e2 ]}`, `null`, `1e400`} {
		if v.Engine == "MySQL" && text == "1e400" {
			require.Error(v, v.db.Model(&value{}).Create(map[string]any{"doc": text}).Error)
			continue
		}
		require.NoError(v, v.db.Model(&value{}).Create(map[string]any{"doc": text}).Error, text)
	}
	var read []value
	require.NoError(v, v.db.Order("id").Find(&read).Error)
	require.Equal(v, `{"a":[100],"b":1}`, read[0].Doc.String())
	require.Nil(v, read[1].Doc)
	if v.Engine != "MySQL" {
		require.NotEmpty(v, read[2].Doc)
		require.True(v, json.Valid(read[2].Doc), read[2].Doc.String())
	}
}

func noDocument(v *values) {
	for id, none := range map[int64]models.JSON{1: nil, 2: models.JSON("null")} {
		require.NoError(v, v.db.Create(&value{ID: id, Doc: none}).Error)
		require.NoError(v, v.db.Where("doc IS NULL").Take(&value{}, id).Error)
		var read value
		require.NoError(v, v.db.Take(&read, id).Error)
		require.Nil(v, read.Doc)
	}
}

func refusedDocuments(v *values) {
	for text := range refused {
		require.Error(v, v.db.Create(&value{Doc: models.JSON(text)}).Error, text)
	}
	var n int64
	require.NoError(v, v.db.Model(&value{}).Count(&n).Error)
	require.Zero(v, n)
}

// deepDocuments: what is as deep as it may be is stored by every engine.
func deepDocuments(v *values) {
	for _, text := range []string{
		strings.Repeat("[", 31) + strings.Repeat("]", 31), strings.Repeat("[", 31) + "1" + strings.Repeat("]", 31),
		strings.Repeat(`{"a":`, 31) + `"x"` + strings.Repeat("}", 31), "[" + strings.Repeat(`{"a":[`, 15) + strings.Repeat("]}", 15) + "]",
	} {
		v.stores(text, text)
	}
}

// A column that SQLite has given a type hands over documents that are scalars as such.
func TestJSONScansScalars(t *testing.T) {
	for raw, want := range map[any]string{int64(5): "5", 2.5: "2.5", true: "true"} {
		var got models.JSON
		require.NoError(t, got.Scan(raw))
		require.Equal(t, want, got.String())
	}
	require.Error(t, new(models.JSON).Scan(struct{}{}))
}
