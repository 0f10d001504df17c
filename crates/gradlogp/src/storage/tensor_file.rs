//! The file format of models and checkpoints.
//!
//! A `.safetensors` file whose metadata has three keys: `format`, a kind and a version such as
//! `gradlogp.model/1`; `description`, a JSON text; `crc32`, eight hexadecimal digits over the
//! description and the bytes of the arrays in the order of their names. Nothing in it is executed. A
//! file without `crc32`, written by other programs, is read unchecked.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::Crc;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::write_atomically;
use crate::{Error, Result};

/// Version of the descriptions this build writes and the newest it reads.
const VERSION: u32 = 3;

/// Bytes of the longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// More than all else takes in it.
const HEADER_REST: u64 = 1_000_000;

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
        let file = Self::encode(path, kind, description, tensors)?;
        write_atomically(path, |out| out.write_all(&file))
    }

    /// The bytes of such a file; `path` is what messages call it.
    ///
    /// # Errors
    /// A description that is too long to be read again.
    pub fn encode(
        path: &Path,
        kind: &str,
        description: &impl Serialize,
        tensors: Vec<Tensor>,
    ) -> Result<Vec<u8>> {
        let failed = |e: String| Error::model_file(path, e);
        let json = serde_json::to_string(description).map_err(|e| failed(e.to_string()))?;
        // The header is JSON itself, in which the description is quoted once more.
        let quoted = json.len() + json.matches(['"', '\\']).count();
        if quoted as u64 > LONGEST_HEADER - HEADER_REST {
            let message = format!(
                "it would hold {} MB of JSON, more than can be read again",
                json.len() / 1_000_000
            );
            return Err(Error::io(path, "write", std::io::Error::other(message)));
        }
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
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))
    }

    /// What kind of file it says to be, such as `gradlogp.model`; empty if it does not say. Reads no array.
    ///
    /// # Errors
    /// A file that cannot be read, or is no safetensors file.
    pub fn kind(path: &Path) -> Result<String> {
        let metadata = metadata(path)?;
        let format = metadata.get("format").map_or("", String::as_str);
        Ok(format.split('/').next().unwrap_or_default().to_string())
    }

    /// The description of a file of some kind. Neither reads the arrays nor checks their sum.
    ///
    /// # Errors
    /// A file that cannot be read, another kind, or a newer version.
    pub fn description<D: DeserializeOwned>(path: &Path, kind: &str) -> Result<D> {
        let failed = |e: String| Error::model_file(path, e);
        let metadata = metadata(path)?;
        check_format(metadata.get("format"), kind).map_err(failed)?;
        described(metadata.get("description")).map_err(failed)
    }

    /// Reads a file of some kind: its description and arrays.
    ///
    /// # Errors
    /// A missing, truncated or foreign file, another kind, or a newer version.
    pub fn read<D: DeserializeOwned>(path: &Path, kind: &str) -> Result<(D, Vec<Tensor>)> {
        Self::decode(&Self::bytes(path)?, path, kind)
    }

    /// All bytes of a file that begins as such a file does; of others only the beginning, so that neither a device
    /// without an end nor a huge table is read as a whole before it is refused.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn bytes(path: &Path) -> Result<Vec<u8>> {
        let io = |e| Error::io(path, "read", e);
        let (mut file, mut bytes) = open_header(path)?;
        if serde_json::from_slice::<Header>(bytes.get(8..).unwrap_or_default()).is_ok() {
            file.read_to_end(&mut bytes).map_err(io)?;
        }
        Ok(bytes)
    }

    /// The same of the bytes of a file; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn decode<D: DeserializeOwned>(
        file: &[u8],
        path: &Path,
        kind: &str,
    ) -> Result<(D, Vec<Tensor>)> {
        let failed = |e: String| Error::model_file(path, e);
        let broken = |e: safetensors::SafeTensorError| failed(not_whole(&e));
        let (_, header) = SafeTensors::read_metadata(file).map_err(broken)?;
        let tensors = SafeTensors::deserialize(file).map_err(broken)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        check_format(metadata.get("format"), kind).map_err(failed)?;
        let json = metadata.get("description").map_or("", String::as_str);
        let named = tensors.iter();
        let found = checksum(json, named.map(|(name, view)| (name, view.data())));
        if metadata.get("crc32").is_some_and(|written| *written != found) {
            return Err(failed("is damaged: its contents do not match its checksum".into()));
        }
        let description = described(metadata.get("description")).map_err(failed)?;
        let tensors =
            tensors.iter().map(|(name, view)| tensor(name, &view)).collect::<Result<_, _>>();
        Ok((description, tensors.map_err(failed)?))
    }
}

/// As much of a header as says what the file is.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
}

/// A file after its header, and the bytes of that, with the eight before it that are its length.
fn open_header(path: &Path) -> Result<(File, Vec<u8>)> {
    let io = |e| Error::io(path, "read", e);
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    (&mut file).take(8).read_to_end(&mut bytes).map_err(io)?;
    let length = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if length <= LONGEST_HEADER {
        (&mut file).take(length).read_to_end(&mut bytes).map_err(io)?;
    }
    Ok((file, bytes))
}

/// The metadata of a file, without its arrays.
fn metadata(path: &Path) -> Result<HashMap<String, String>> {
    let (_, bytes) = open_header(path)?;
    let header: Header = serde_json::from_slice(bytes.get(8..).unwrap_or_default())
        .map_err(|e| Error::model_file(path, not_whole(&e)))?;
    Ok(header.metadata)
}

fn not_whole(error: &dyn std::error::Error) -> String {
    format!("is not a whole safetensors file ({error}): it is something else, or truncated")
}

fn described<D: DeserializeOwned>(json: Option<&String>) -> Result<D, String> {
    let json = json.map_or("", String::as_str);
    serde_json::from_str(json).map_err(|e| format!("its description cannot be read: {e}"))
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

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_without_an_end_is_refused() {
        for path in ["/dev/zero", "/dev/urandom", "/dev/null"] {
            let refused = TensorFile::read::<String>(Path::new(path), "test").unwrap_err();
            assert!(refused.to_string().contains("not a whole safetensors file"), "{refused}");
            assert!(TensorFile::kind(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn descriptions_are_read_without_arrays() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        // Cut within its arrays.
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert_eq!(TensorFile::kind(&path).unwrap(), "test");
        assert_eq!(TensorFile::description::<String>(&path, "test").unwrap(), "hello");
        let other = TensorFile::description::<String>(&path, "other").unwrap_err();
        assert!(other.to_string().contains("is a test file"), "{other}");
        assert!(TensorFile::read::<String>(&path, "test").is_err());
    }
}
