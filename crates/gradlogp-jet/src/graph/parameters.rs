//! The index of the flat parameter vector.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Position of a parameter in its [`ParameterIndex`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterId(pub usize);

/// One named array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name in model files, e.g. `net.0.weight`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

impl Parameter {
    /// Number of scalars; saturates, so that a nonsensical shape fits no file.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |product: usize, n| product.saturating_mul(*n))
    }

    /// No scalars at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names and shapes, one after another in the flat vector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Parameter>", into = "Vec<Parameter>")]
pub struct ParameterIndex {
    entries: Vec<Parameter>,
    offsets: Vec<usize>,
}

impl From<Vec<Parameter>> for ParameterIndex {
    fn from(entries: Vec<Parameter>) -> Self {
        let mut index = ParameterIndex::default();
        entries.into_iter().for_each(|p| {
            index.push(p);
        });
        index
    }
}

impl From<ParameterIndex> for Vec<Parameter> {
    fn from(index: ParameterIndex) -> Self {
        index.entries
    }
}

impl ParameterIndex {
    pub(crate) fn push(&mut self, parameter: Parameter) -> ParameterId {
        self.offsets.push(self.len());
        self.entries.push(parameter);
        ParameterId(self.entries.len() - 1)
    }

    /// Scalars in all.
    pub fn len(&self) -> usize {
        match (self.offsets.last(), self.entries.last()) {
            (Some(offset), Some(last)) => offset.saturating_add(last.len()),
            _ => 0,
        }
    }

    /// No parameters at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Shape of one parameter, if it exists.
    pub fn shape(&self, id: ParameterId) -> Option<&[usize]> {
        self.entries.get(id.0).map(|p| p.shape.as_slice())
    }

    /// Where it lies in the flat vector.
    pub fn range(&self, id: ParameterId) -> Range<usize> {
        let start = self.offsets[id.0];
        start..start.saturating_add(self.entries[id.0].len())
    }

    /// All parameters with their places, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, Range<usize>)> {
        self.entries
            .iter()
            .zip(&self.offsets)
            .map(|(p, offset)| (p, *offset..offset.saturating_add(p.len())))
    }
}
