//! The file format of models and checkpoints.
//!
//! A `.safetensors` file whose metadata has three keys: `format`, a kind and a version such as
//! `gradlogp.model/1`; `description`, a JSON text; `crc32`, eight hexadecimal digits over the
//! description and the bytes of the arrays in the order of their names. Nothing in it is executed. A
//! file without `crc32`, written by other programs, is read unchecked.

use std::collections::HashMap;
use std::path::Path;

use flate2::Crc;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write_atomically;
use crate::{Error, Result};

/// Version of the descriptions this build writes and the newest it reads.
const VERSION: u32 = 2;

/// A named array.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Contents.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A vector.
    pub fn flat(name: &str, data: &[f32]) -> Self {
        Tensor { name: name.to_string(), shape: vec![data.len()], data: data.to_vec() }
    }
}

/// Reading and writing.
#[derive(Debug)]
pub struct TensorFile;

impl TensorFile {
    /// Writes a file of some kind atomically.
    ///
    /// # Errors
    /// When the file cannot be written; an older file stays whole.
    pub fn write(
        path: &Path,
        kind: &str,
        description: &impl Serialize,
        tensors: Vec<Tensor>,
    ) -> Result<()> {
        let failed = |e: String| Error::model_file(path, e);
        let json = serde_json::to_string(description).map_err(|e| failed(e.to_string()))?;
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .into_iter()
            .map(|t| (t.name, t.shape, t.data.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let parts = bytes.iter().map(|(name, _, data)| (name.as_str(), data.as_slice()));
        let metadata = HashMap::from([
            ("format".to_string(), format!("{kind}/{VERSION}")),
            ("crc32".to_string(), checksum(&json, parts)),
            ("description".to_string(), json),
        ]);
        let views = bytes
            .iter()
            .map(|(name, shape, data)| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| failed(e.to_string()))?;
        let file =
            safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))?;
        write_atomically(path, |out| out.write_all(&file))
    }

    /// What kind of file it says to be, such as `gradlogp.model`; empty if it does not say.
    ///
    /// # Errors
    /// A file that cannot be read, or is no safetensors file.
    pub fn kind(path: &Path) -> Result<String> {
        let file = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        let (_, header) = SafeTensors::read_metadata(&file)
            .map_err(|e| Error::model_file(path, format!("is no safetensors file: {e}")))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let format = metadata.get("format").map_or("", String::as_str);
        Ok(format.split('/').next().unwrap_or_default().to_string())
    }

    /// Reads a file of some kind: its description and arrays.
    ///
    /// # Errors
    /// A missing, truncated or foreign file, another kind, or a newer version.
    pub fn read<D: DeserializeOwned>(path: &Path, kind: &str) -> Result<(D, Vec<Tensor>)> {
        let failed = |e: String| Error::model_file(path, e);
        let file = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        let broken = |e: safetensors::SafeTensorError| {
            failed(format!(
                "is not a whole safetensors file ({e}): it is something else, or was cut short"
            ))
        };
        let (_, header) = SafeTensors::read_metadata(&file).map_err(broken)?;
        let tensors = SafeTensors::deserialize(&file).map_err(broken)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        check_format(metadata.get("format"), kind).map_err(failed)?;
        let json = metadata.get("description").map_or("", String::as_str);
        let named = tensors.iter();
        let found = checksum(json, named.map(|(name, view)| (name, view.data())));
        if metadata.get("crc32").is_some_and(|written| *written != found) {
            return Err(failed("is damaged: its contents do not match its checksum".into()));
        }
        let description = serde_json::from_str(json)
            .map_err(|e| failed(format!("its description cannot be read: {e}")))?;
        let tensors =
            tensors.iter().map(|(name, view)| tensor(name, &view)).collect::<Result<_, _>>();
        Ok((description, tensors.map_err(failed)?))
    }
}

/// CRC-32 of the description and the arrays by name, in hexadecimal.
fn checksum<'a>(json: &str, parts: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|(name, _)| *name);
    let mut crc = Crc::new();
    crc.update(json.as_bytes());
    parts.iter().for_each(|(_, data)| crc.update(data));
    format!("{:08x}", crc.sum())
}

fn check_format(format: Option<&String>, kind: &str) -> Result<(), String> {
    let Some((found, version)) = format.and_then(|f| f.split_once('/')) else {
        return Err("was not written by gradlogp (no format in its metadata)".into());
    };
    if found != kind {
        return Err(format!("is a {found} file; a {kind} file is needed here"));
    }
    match version.parse::<u32>() {
        Ok(v) if v <= VERSION => Ok(()),
        Ok(v) => Err(format!(
            "has format version {v}, this program reads up to {VERSION}; use a newer gradlogp"
        )),
        Err(_) => Err(format!("has an unreadable format version \"{version}\"")),
    }
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("tensor \"{name}\" is {:?}, not F32", view.dtype()));
    }
    let (words, _) = view.data().as_chunks::<4>();
    let data: Vec<f32> = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
    if let Some(at) = data.iter().position(|x| !x.is_finite()) {
        return Err(format!("tensor \"{name}\" has {} at position {at}", data[at]));
    }
    Ok(Tensor { name: name.to_string(), shape: view.shape().to_vec(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.safetensors");
        let tensors = vec![
            Tensor { name: "w".into(), shape: vec![2, 1], data: vec![1.5, -0.0] },
            Tensor::flat("b", &[f32::MIN_POSITIVE]),
        ];
        TensorFile::write(&path, "test", &"hello", tensors).unwrap();
        path
    }

    #[test]
    fn round_trip_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let (text, mut tensors) =
            TensorFile::read::<String>(&written(folder.path()), "test").unwrap();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(text, "hello");
        assert_eq!(tensors[0].data[0].to_bits(), f32::MIN_POSITIVE.to_bits());
        assert_eq!(tensors[1].shape, [2, 1]);
        assert_eq!(tensors[1].data[1].to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_other_programs_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        assert_eq!(TensorFile::kind(&path).unwrap(), "test");
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        // The lowest bit of a weight.
        let at = whole.len() - 8;
        flipped[at] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let message = TensorFile::read::<String>(&path, "test").unwrap_err().to_string();
        assert!(message.contains("damaged"), "{message}");
        let text = flipped.iter().map(|b| *b as char).collect::<String>().replace("crc32", "other");
        let unchecked: Vec<u8> = text.chars().map(|c| c as u8).collect();
        std::fs::write(&path, unchecked).unwrap();
        assert!(TensorFile::read::<String>(&path, "test").is_ok());
    }

    #[test]
    fn the_checksum_is_the_usual_crc32() {
        // python3 -c "import zlib; print('%08x' % zlib.crc32(b'123456789'))"
        assert_eq!(
            checksum("123", [("b", &b"789"[..]), ("a", &b"456"[..])].into_iter()),
            "cbf43926"
        );
    }

    #[test]
    fn wrong_files_are_named_for_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let message = |path: &Path, kind: &str| {
            TensorFile::read::<String>(path, kind).unwrap_err().to_string()
        };
        assert!(message(&path, "other").contains("is a test file"));
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 5, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(message(&path, "test").contains("not a whole safetensors file"), "{cut}");
        }
        let text = String::from_utf8_lossy(&whole).replace("test/1", "test/9");
        std::fs::write(&path, text.as_bytes()).unwrap();
        let newer = message(&path, "test");
        assert!(newer.contains("version 9") || newer.contains("not a whole"), "{newer}");
        assert!(
            check_format(Some(&"test/9".to_string()), "test")
                .unwrap_err()
                .contains("newer gradlogp")
        );
        std::fs::write(&path, b"a,b\n1,2\n").unwrap();
        assert!(message(&path, "test").contains("not a whole safetensors file"));
        assert!(message(&folder.path().join("none"), "test").contains("cannot read"));
        assert!(message(folder.path(), "test").contains("cannot read"));
    }
}
