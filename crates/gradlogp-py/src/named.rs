//! Settings by name, as JSON, each of which is taken once.

use gradlogp::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Settings by name, each of which is taken once.
pub(crate) struct Named(pub(crate) Map<String, Value>);

impl Named {
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &'static str, usual: T) -> Result<T> {
        match self.0.remove(name) {
            None => Ok(usual),
            Some(value) => {
                serde_json::from_value(value).map_err(|e| Error::config(name, e.to_string()))
            }
        }
    }

    /// Refuses what nobody took of the settings of `what`.
    pub(crate) fn done(self, what: &str) -> Result<()> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Error::config(name, format!("is no setting of {what}"))),
        }
    }
}
