//! Changes of safetensors files that know their parts: the description and the header stay JSON, and the
//! checksum is made anew, so that what reads the description is reached and not only what checks the sum.

use flate2::Crc;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::mutate;

/// Pieces of the format.
const WORDS: [&str; 10] = [
    "\"dtype\":\"F32\"",
    "\"shape\":[",
    "\"data_offsets\":[",
    "__metadata__",
    "F64",
    "description",
    "crc32",
    "format",
    "gradlogp.model/3",
    "{}",
];

/// One change of a file: of its bytes, of its header, or of its description, with or without a new checksum.
pub(crate) fn change(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) {
    let Some(mut parts) = Parts::of(file) else { return mutate::bytes(rng, file, &WORDS) };
    match rng.random_range(0..20) {
        0..3 => return mutate::bytes(rng, file, &WORDS),
        3 => mutate::json(rng, &mut parts.header),
        4 | 5 if !parts.data.is_empty() => {
            let values = [f32::NAN, f32::INFINITY, 1e38, -1e38, 1e-40, 0.0, 1e20];
            let at = rng.random_range(0..parts.data.len() / 4 + 1) * 4;
            if let Some(place) = parts.data.get_mut(at..at + 4) {
                place.copy_from_slice(&mutate::pick(rng, &values).to_le_bytes());
            }
        }
        6 => {
            let extra = *mutate::pick(rng, &[-4i64, -1, 1, 4, 400]);
            let length = parts.data.len() as i64 + extra;
            parts.data.resize(length.max(0) as usize, 0);
        }
        _ => parts.change_description(rng),
    }
    if rng.random_range(0..20) > 0 {
        parts.set_checksum();
    }
    *file = parts.file();
}

/// A file, taken apart.
struct Parts {
    header: Value,
    data: Vec<u8>,
}

impl Parts {
    fn of(file: &[u8]) -> Option<Self> {
        let (length, rest) = file.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let header = serde_json::from_slice(rest.get(..length)?).ok()?;
        Some(Parts { header, data: rest[length..].to_vec() })
    }

    fn file(&self) -> Vec<u8> {
        let header = self.header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        file.extend(&self.data);
        file
    }

    fn metadata(&mut self, name: &str) -> Option<&mut Value> {
        self.header.get_mut("__metadata__")?.get_mut(name)
    }

    fn change_description(&mut self, rng: &mut ChaCha8Rng) {
        let Some(place) = self.metadata("description") else { return };
        let text = place.as_str().unwrap_or_default().to_string();
        *place = match serde_json::from_str::<Value>(&text) {
            Ok(mut description) if rng.random_range(0..20) > 0 => {
                mutate::json(rng, &mut description);
                description.to_string()
            }
            _ => {
                let mut raw = text.into_bytes();
                mutate::bytes(rng, &mut raw, &WORDS);
                String::from_utf8_lossy(&raw).into_owned()
            }
        }
        .into();
    }

    /// CRC-32 of the description and the arrays in the order of their names, as files are written.
    fn set_checksum(&mut self) {
        let mut crc = Crc::new();
        let description = self.metadata("description").cloned().unwrap_or_default();
        crc.update(description.as_str().unwrap_or_default().as_bytes());
        let mut arrays: Vec<(String, Value)> = self
            .header
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        arrays.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, array) in arrays {
            let offset = |k: usize| array["data_offsets"][k].as_u64().map(|at| at as usize);
            if let (Some(from), Some(to)) = (offset(0), offset(1)) {
                crc.update(self.data.get(from..to).unwrap_or_default());
            }
        }
        let sum = format!("{:08x}", crc.sum());
        if let Some(place) = self.metadata("crc32") {
            *place = sum.into();
        }
    }
}

#[test]
fn a_new_checksum_is_the_file_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    for seed in crate::model_file::models() {
        seed.save(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        let mut parts = Parts::of(&file).unwrap();
        *parts.metadata("crc32").unwrap() = "?".into();
        parts.set_checksum();
        let again: Value = Parts::of(&parts.file()).unwrap().header;
        assert_eq!(again, Parts::of(&file).unwrap().header);
    }
}
