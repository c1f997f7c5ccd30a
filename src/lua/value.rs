//! Reads values from Lua tables that any code may have written.

use mlua::prelude::*;

use crate::time::Seconds;

/// Levels of a table whose content is compared.
const MAX_DEPTH: usize = 64;

/// A string argument, refused if it is not UTF-8. A copy is cheaper than a reference to Lua's string.
pub type Text = String;

/// Returns a string, or a number in its place as text, because people and tools write numbers there.
pub fn string(value: &LuaValue) -> Option<String> {
    match value {
        LuaValue::String(text) => Some(text.to_str().ok()?.to_owned()),
        LuaValue::Integer(number) => Some(number.to_string()),
        LuaValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the string, or the number as text, that a table has under a key.
pub fn field(table: &LuaTable, key: &str) -> Option<String> {
    table.raw_get(key).ok()?
}

/// Whether a table has `true` under a key.
pub fn is_set(table: &LuaTable, key: &str) -> bool {
    matches!(table.raw_get(key), Ok(LuaValue::Boolean(true)))
}

/// Returns the pairs of the table that a table has under a key; none where there is no table.
pub fn pairs(table: &LuaTable, key: &str) -> Vec<(LuaValue, LuaValue)> {
    let inner: LuaValue = table.raw_get(key).unwrap_or(LuaNil);
    inner.as_table().into_iter().flat_map(|inner| inner.pairs().flatten()).collect()
}

/// Returns the time at which a record was made; 0 if it has none.
pub fn timestamp(record: &LuaTable) -> Seconds {
    let timestamp = record.raw_get("timestamp").unwrap_or(LuaNil);
    timestamp.as_i64().or(timestamp.as_f64().map(|seconds| seconds as Seconds)).unwrap_or(0)
}

/// Returns the bytes of all strings that are values of a table.
pub fn text_size(table: &LuaTable) -> usize {
    let fields = table.pairs::<LuaValue, LuaValue>().flatten();
    fields.map(|(_, value)| value.as_string().map_or(0, |text| text.as_bytes().len())).sum()
}

/// Whether two tables have the same content, apart from the field `except`.
pub fn is_same(one: &LuaTable, other: &LuaTable, except: &str) -> bool {
    is_equal(one, other, Some(except), MAX_DEPTH)
}

fn is_equal(one: &LuaTable, other: &LuaTable, except: Option<&str>, depth: usize) -> bool {
    let is_in_other = |(key, value): (LuaValue, LuaValue)| match (value, other.raw_get(key)) {
        (LuaValue::Table(one), Ok(LuaValue::Table(other))) => {
            depth.checked_sub(1).is_some_and(|depth| is_equal(&one, &other, None, depth))
        }
        (value, Ok(other)) => value == other,
        (_, Err(_)) => false,
    };
    // To look up the fields of the other as well would double the time at each level.
    fields(one, except).all(is_in_other) && fields(one, except).count() == fields(other, except).count()
}

fn fields<'t>(table: &'t LuaTable, except: Option<&'t str>) -> impl Iterator<Item = (LuaValue, LuaValue)> + 't {
    let is_it = move |key: &LuaValue| except.is_some_and(|except| key.as_string().is_some_and(|key| key == except));
    table.pairs().flatten().filter(move |(key, _)| !is_it(key))
}
