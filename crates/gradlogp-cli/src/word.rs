//! Serde's names of unit variants, as the command line writes them.

use serde::Serialize;

pub(crate) trait Word {
    fn word(&self) -> String;
}

impl<T: Serialize> Word for T {
    fn word(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            Ok(other) => other.to_string(),
            Err(_) => "unknown".into(),
        }
    }
}
