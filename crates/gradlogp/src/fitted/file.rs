//! Model files: `.safetensors` with weights under readable names (`net.0.weight` \[out, in\], ...), and
//! graph and description as JSON in the metadata.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Description, FittedModel};
use crate::data::Fnv;
use crate::graph::Graph;
use crate::model::{Model, ModelKind};
use crate::storage::{Tensor, TensorFile};
use crate::{Error, Result};

const KIND: &str = "gradlogp.model";

#[derive(Serialize, Deserialize)]
struct Contents {
    kind: ModelKind,
    graph: Graph,
    fit: Description,
}

impl FittedModel {
    /// Writes the model atomically.
    ///
    /// # Errors
    /// When the file cannot be written; an older file stays whole.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (contents, tensors) = self.contents();
        TensorFile::write(path, KIND, &contents, tensors)
    }

    /// The bytes of a model file, which [`from_bytes`](FittedModel::from_bytes) reads.
    ///
    /// # Errors
    /// A description that is too long to be read again.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (contents, tensors) = self.contents();
        TensorFile::encode("model".as_ref(), KIND, &contents, tensors)
    }

    /// What a model file holds.
    fn contents(&self) -> (Contents, Vec<Tensor>) {
        let graph = self.network().graph().clone();
        let tensors = graph
            .parameters()
            .iter()
            .map(|(p, range)| Tensor {
                name: p.name.clone(),
                shape: p.shape.clone(),
                data: self.network().parameters[range].to_vec(),
            })
            .collect();
        (Contents { kind: self.kind(), graph, fit: self.description().clone() }, tensors)
    }

    /// Tells this model from others: FNV-1a, 64 bits, over the bits of all weights and the transform of its
    /// columns, in hexadecimal. Not a defence against forgery.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fnv::new();
        self.network().parameters.iter().for_each(|p| hash.write(&p.to_bits().to_le_bytes()));
        let transform = &self.description().transform;
        let (mean, factor) = (transform.mean(), transform.jacobian_factor());
        mean.iter().chain(&factor).for_each(|x| hash.write(&x.to_bits().to_le_bytes()));
        // Maps of single columns are seen by where they take a row.
        if transform.has_marginals() {
            let there = transform.forward(mean.insert_axis(ndarray::Axis(0)));
            there.iter().for_each(|x| hash.write(&x.to_bits().to_le_bytes()));
        }
        format!("{:016x}", hash.0)
    }

    /// Reads a model.
    ///
    /// # Errors
    /// A missing, truncated, foreign or newer file, or one whose parts do not fit together.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(&TensorFile::bytes(path)?, path)
    }

    /// The model in the bytes of a model file; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`FittedModel::load`].
    pub fn from_bytes(file: &[u8], path: &Path) -> Result<Self> {
        let (contents, tensors) = TensorFile::decode::<Contents>(file, path, KIND)?;
        let failed = |what: String| Error::model_file(path, what);
        // Before memory is allocated because a description says so.
        let (described, stored) = (
            contents.graph.parameters().len(),
            tensors.iter().map(|t| t.data.len()).sum::<usize>(),
        );
        if described != stored {
            return Err(failed(format!("describes {described} parameters and has {stored}")));
        }
        let mut parameters = vec![0.0; contents.graph.parameters().len()];
        for (parameter, range) in contents.graph.parameters().iter() {
            let tensor = tensors
                .iter()
                .find(|t| t.name == parameter.name)
                .ok_or_else(|| failed(format!("has no tensor \"{}\"", parameter.name)))?;
            if tensor.shape != parameter.shape {
                return Err(failed(format!(
                    "tensor \"{}\" has shape {:?}, not {:?}",
                    parameter.name, tensor.shape, parameter.shape
                )));
            }
            parameters[range].copy_from_slice(&tensor.data);
        }
        let network = Model::new(contents.kind, contents.graph, parameters)
            .map_err(|e| failed(e.to_string()))?;
        FittedModel::new(network, contents.fit).map_err(|e| failed(e.to_string()))
    }
}
