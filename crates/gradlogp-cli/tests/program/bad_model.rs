//! Model files that cannot be used end with code 4, columns that do not fit with code 3.

use super::support::{Folder, QUICK, header_length, pairs, table};

#[test]
fn truncated_foreign_and_missing_files() {
    let folder = Folder::with_model();
    let whole = folder.read("m.safetensors");
    for length in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        folder.write("cut", &whole[..length]);
        let pieces = ["cut: is not a whole safetensors file", "truncated"];
        folder.fails(4, "info cut", &pieces);
        folder.fails(4, "score cut good.csv", &pieces);
    }
    folder.fails(4, "score good.csv good.csv", &["good.csv: is not a whole safetensors file"]);
    folder.fails(5, "eval none good.csv", &["none: cannot read: No such file"]);
    folder.fails(5, "sample .", &["cannot read"]);
    folder.write("foreign", foreign());
    folder.fails(4, "report foreign", &["foreign: was not written by gradlogp"]);
    folder.fails(4, "fit --resume m.safetensors", &["a gradlogp.checkpoint file is needed"]);
}

/// A safetensors file of some other program: one tensor, no metadata.
fn foreign() -> Vec<u8> {
    let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  "#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend([0; 8]);
    file
}

#[test]
fn a_newer_format_is_named() {
    let folder = Folder::with_model();
    let newer = replaced(&folder.read("m.safetensors"), "gradlogp.model/3", "gradlogp.model/9");
    folder.write("newer", newer);
    let pieces = ["format version 9", "reads up to 3", "use a newer gradlogp"];
    folder.fails(4, "info newer", &pieces);
}

/// Replaces text of the same length.
fn replaced(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = file.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    let mut file = file.to_vec();
    file[at..at + to.len()].copy_from_slice(to.as_bytes());
    file
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let folder = Folder::with_model();
    let whole = folder.read("m.safetensors");
    let header = header_length(&whole);
    // A bit of a weight, and a digit of the description.
    let mut weight = whole.clone();
    weight[8 + header + 5] ^= 1;
    folder.write("weight", weight);
    folder.fails(4, "score weight good.csv", &["weight: is damaged", "checksum"]);
    folder.write("number", replaced(&whole, "dim\\\":2", "dim\\\":3"));
    folder.fails(4, "score number good.csv", &["number: is damaged"]);
    // Any byte may be hit: never a panic, and never an answer from damaged weights or description.
    for k in 0..60 {
        let mut file = whole.clone();
        let at = k * whole.len() / 60;
        file[at] = file[at].wrapping_add(1 + k as u8);
        folder.write("hit", file);
        let ended = folder.run("info hit");
        assert_eq!(ended.code, Some(4), "byte {at}: {ended:?}");
    }
}

#[test]
fn columns_match_by_name_then_by_number() {
    let folder = Folder::with_model();
    let rows = |header: &str, f: &dyn Fn(f64, f64) -> String| {
        let body: String = pairs(200).iter().map(|(a, b)| f(*a, *b)).collect();
        format!("{header}\n{body}")
    };
    let file = |name: &str, text: String| folder.write(name, text);
    file("swapped.csv", rows("c,b,a", &|a, b| format!("1,{b:.9},{a:.9}\n")));
    file("other.csv", rows("u,v", &|a, b| format!("{a:.9},{b:.9}\n")));
    file("half.csv", rows("a,z", &|a, b| format!("{a:.9},{b:.9}\n")));
    file("three.csv", rows("u,v,w", &|a, b| format!("{a:.9},{b:.9},1\n")));
    folder.succeeds("score m.safetensors good.csv -o good.out");
    let by_name = folder.succeeds("score m.safetensors swapped.csv -o swapped.out");
    assert!(!by_name.err.contains("warning"), "{by_name:?}");
    assert_eq!(folder.text("good.out"), folder.text("swapped.out"));
    let by_number = folder.succeeds("score m.safetensors other.csv -o other.out");
    assert!(by_number.err.contains("warning: the table has none of the model's column names"));
    assert_eq!(folder.text("good.out"), folder.text("other.out"));
    folder.fails(3, "score m.safetensors half.csv", &["half.csv", "lacks \"b\"", "Rename them"]);
    folder.fails(3, "score m.safetensors three.csv", &["lacks \"a\", \"b\"", "it has 3 columns"]);
    let drawn = folder.succeeds("eval m.safetensors --dataset two-moons --rows 50");
    assert!(drawn.err.contains("warning: the table has none"), "{drawn:?}");
    folder.fails(3, "eval m.safetensors --dataset red-wine", &["lacks \"a\", \"b\""]);
}

#[test]
fn what_a_score_field_cannot_do() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    folder.succeeds(&format!("fit good.csv {QUICK} --model score --activation relu -o s"));
    let pieces = ["--sampler: mala needs", "use ula", "--model potential"];
    folder.fails(2, "sample s --sampler mala", &pieces);
    let ended = folder.succeeds("sample s -n 20 --warm-up 50 --thinning 1 -o s.csv --json");
    assert_eq!(ended.json()["sampler"], "ula");
    folder.succeeds("score s good.csv -o out.csv --hessian-diagonal");
    let header = folder.text("out.csv").lines().next().unwrap().to_string();
    assert_eq!(header, "score_a,score_b,trace,jacobian_a,jacobian_b");
    let pieces = ["--step-size", "diverged"];
    folder.fails(6, "sample s -n 4 --step-size 1e10", &pieces[1..]);
}
