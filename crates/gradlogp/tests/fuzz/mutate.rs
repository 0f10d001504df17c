//! Changes of bytes, texts and JSON.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Numbers at which code goes wrong.
const NUMBERS: [&str; 30] = [
    "0",
    "-0.0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "16",
    "255",
    "256",
    "1000",
    "65536",
    "1000000",
    "2147483647",
    "2147483648",
    "4294967296",
    "1099511627776",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775808",
    "0.5",
    "1e-300",
    "1e-40",
    "1e300",
    "3.5e38",
    "-1e308",
    "1e16",
    "0.1",
];

/// Most bytes of an input: more tests no other code.
const MOST: usize = 1 << 18;

/// One change of some bytes; `words` are pieces of the format.
pub(crate) fn bytes(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, words: &[&str]) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + length(rng)).min(bytes.len());
    match rng.random_range(0..11) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = rng.random(),
        2 if at < bytes.len() => bytes[at] = *pick(rng, b"\0\x01\x7f\x80\xff \t\r\n\",;'-+.eE0919"),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let piece = bytes[at..end].to_vec();
            let times = length(rng);
            insert(bytes, at, &piece.repeat(times));
        }
        6 => {
            let word = pick(rng, words);
            insert(bytes, at, word.as_bytes());
        }
        7 => {
            // A piece of its own from elsewhere.
            let from = rng.random_range(0..=bytes.len());
            let piece = bytes[from..(from + length(rng)).min(bytes.len())].to_vec();
            insert(bytes, at, &piece);
        }
        8 => {
            let number = pick(rng, &NUMBERS);
            bytes.splice(at..end, number.bytes());
        }
        9 if at + 8 <= bytes.len() => {
            let number =
                pick(rng, &[0u64, 1, 7, 8, 1 << 31, 1 << 32, 1 << 40, u64::MAX, u64::MAX - 7]);
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        _ => {
            let mut noise = vec![0; length(rng)];
            rng.fill_bytes(&mut noise);
            insert(bytes, at, &noise);
        }
    }
}

/// One change somewhere in a JSON value.
pub(crate) fn json(rng: &mut ChaCha8Rng, value: &mut Value) {
    let at = rng.random_range(0..count(value));
    let other = rng.random_range(0..count(value));
    let other = nth(value, &mut { other }).map(|v| v.clone()).unwrap_or_default();
    let small = count(&other) < 200;
    let Some(place) = nth(value, &mut { at }) else { return };
    match (rng.random_range(0..10), &mut *place) {
        (0, Value::Object(map)) => drop(remove(rng, map)),
        (1, Value::Object(map)) => {
            // Another's value under its name.
            let name = map.keys().nth(rng.random_range(0..map.len().max(1))).cloned();
            map.insert(name.unwrap_or_default(), other);
        }
        (0 | 1, Value::Array(list)) if !list.is_empty() => {
            list.remove(rng.random_range(0..list.len()));
        }
        (2 | 3, Value::Array(list)) => {
            let item = list.get(rng.random_range(0..list.len().max(1))).cloned().unwrap_or(other);
            let times = if count(&item) < 200 { length(rng) } else { 1 };
            list.extend(std::iter::repeat_n(item, times));
        }
        (4, Value::Array(list)) => list.reverse(),
        (0..=5, Value::Number(_)) => *place = number(rng),
        (0..=3, Value::String(text)) => {
            let mut raw = std::mem::take(text).into_bytes();
            bytes(rng, &mut raw, &["", "auto", "NaN", "{x}", "((((", "+x", "é", "\u{0}"]);
            *place = Value::String(String::from_utf8_lossy(&raw).into_owned());
        }
        (6, _) if small => *place = other,
        (7, _) => {
            let depth = [1, 10, 126, 300][rng.random_range(0..4)];
            let whole = std::mem::take(place);
            *place = (0..depth).fold(whole, |inner, _| Value::Array(vec![inner]));
        }
        _ => {
            *place = match rng.random_range(0..7) {
                0 => Value::Null,
                1 => Value::Bool(rng.random()),
                2 => json!([]),
                3 => json!({}),
                4 => Value::String(String::new()),
                _ => number(rng),
            };
        }
    }
}

/// A number at which code goes wrong.
pub(crate) fn number(rng: &mut ChaCha8Rng) -> Value {
    serde_json::from_str(pick::<&str>(rng, &NUMBERS)).unwrap_or_default()
}

pub(crate) fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Mostly short, sometimes long.
fn length(rng: &mut ChaCha8Rng) -> usize {
    let most = *pick(rng, &[1, 2, 4, 8, 32, 1000]);
    rng.random_range(1..=most)
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() + piece.len() <= MOST {
        bytes.splice(at..at, piece.iter().copied());
    }
}

fn remove(rng: &mut ChaCha8Rng, map: &mut Map<String, Value>) -> Option<Value> {
    let name = map.keys().nth(rng.random_range(0..map.len().max(1))).cloned()?;
    map.remove(&name)
}

/// Values in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with so many before it.
fn nth<'a>(value: &'a mut Value, before: &mut usize) -> Option<&'a mut Value> {
    if *before == 0 {
        return Some(value);
    }
    *before -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|item| nth(item, before)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, before)),
        _ => None,
    }
}
