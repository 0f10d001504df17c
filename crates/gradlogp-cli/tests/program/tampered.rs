//! Checkpoints and model files are not taken at their word: what no run has written ends with code 4, at once.

use serde_json::{Value, json};

use super::support::{Folder, QUICK, header_length, table};

/// A file whose description is changed, without its checksum.
fn edited(file: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = header_length(file);
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    metadata.remove("crc32");
    let text = metadata["description"].as_str().unwrap();
    let mut description = serde_json::from_str(text).unwrap();
    edit(&mut description);
    metadata["description"] = description.to_string().into();
    let header = header.to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.extend(&file[8 + length..]);
    out
}

/// Every change of the value at a JSON pointer is refused with code 4 and the name of the file.
fn all_refused(folder: &Folder, name: &str, line: &str, changes: &[(&str, Value)]) {
    let whole = folder.read(name);
    for (pointer, value) in changes {
        let changed = edited(&whole, |description| {
            let place = description.pointer_mut(pointer);
            *place.unwrap_or_else(|| panic!("{name} has no {pointer}")) = value.clone();
        });
        folder.write(name, changed);
        // Which shows what is there, or refuses it, and must not panic.
        let info = folder.run(&format!("info {name}"));
        assert!(matches!(info.code, Some(0 | 4)), "{pointer} = {value}: {info:?}");
        let ended = folder.run(line);
        assert_eq!(ended.code, Some(4), "{pointer} = {value}: {ended:?}");
        assert!(ended.err.contains(&format!("{name}: ")), "{pointer} = {value}: {ended:?}");
    }
    folder.write(name, whole);
}

const LONG: &str = "--steps 2000000 --hidden 8 --batch 32 --evaluate-every 20 --objective ssm --patience 0 \
                    --checkpoint-every 0";

/// Starts a line and stops it once it has left its checkpoint.
#[cfg(unix)]
fn stopped(folder: &Folder, before: &str, line: &str, checkpoint: &str) {
    let ended = folder.shell(&format!(
        "{before} $GRADLOGP {line} & pid=$!; n=0; while [ ! -e {checkpoint} ] && [ $n -lt 1000 ]; do \
         n=$((n+1)); sleep 0.02; done; kill -TERM $pid; wait $pid"
    ));
    assert_eq!(ended.code, Some(130), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn what_no_fit_has_written_is_not_resumed() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    stopped(&folder, "", &format!("fit good.csv {LONG} --threads 1 -o m"), "m.checkpoint");
    let huge = json!(1u64 << 60);
    let plan = |path: &str| format!("/extra/plan/{path}");
    let fit = |path: &str| format!("/extra/plan/fit/{path}");
    let network = |path: &str| format!("/extra/plan/fit/family/network/{path}");
    let kernel = json!({"kernel": {"deep": true, "inducing": 5, "base_sd": 2.0}});
    let changes = [
        (fit("training/threads"), json!(100_000)),
        (fit("training/batch"), json!(0)),
        (fit("training/rate"), json!(-1.0)),
        (fit("training/ema"), json!(1.5)),
        (fit("training/evaluate_every"), json!(0)),
        (fit("training/steps"), json!(1)),
        (fit("training/objective"), json!({"name": "ssm", "slices": 0})),
        (network("hidden"), json!([0])),
        (network("hidden"), json!([huge, huge])),
        (network("hidden"), json!([9])),
        (fit("prepare/validation"), json!(0.0)),
        (fit("prepare/validation"), json!(0.95)),
        (fit("prepare/test"), json!(-0.1)),
        (plan("checkpoint_every"), json!(-1.0)),
        (plan("checkpoint_every"), json!(1e300)),
        (network("base_scale"), json!(-3.0)),
        (fit("family"), kernel),
        (plan("source/delimiter"), json!("é")),
        ("/extra/threads".into(), json!(1_000_000)),
        ("/extra/seconds".into(), json!(-1.0)),
        ("/state/step".into(), json!(u64::MAX)),
        ("/state/step".into(), json!(3)),
        ("/optimizer_step".into(), json!(u64::MAX)),
        ("/state/since_best".into(), huge.clone()),
        ("/state/loss_count".into(), json!(u64::MAX)),
        ("/state/history/0/step".into(), huge.clone()),
        ("/best/0".into(), huge.clone()),
        ("/extra".into(), json!(null)),
    ];
    let changes: Vec<(&str, Value)> =
        changes.iter().map(|(p, v)| (p.as_str(), v.clone())).collect();
    all_refused(&folder, "m.checkpoint", "fit --resume m.checkpoint", &changes);
}

#[cfg(unix)]
#[test]
fn what_no_run_of_sample_has_written_is_not_resumed() {
    let folder = Folder::with_model();
    let line = "sample m.safetensors --sampler hmc -n 8 --chains 4 --warm-up 1000000000 --checkpoint-every 0 -o s";
    stopped(&folder, "", line, "s.checkpoint");
    let huge = json!(1u64 << 60);
    let changes = [
        ("/job/chains/n", json!(0)),
        ("/job/chains/config/chains", json!(0)),
        ("/job/chains/config/chains", huge.clone()),
        ("/job/chains/config/thinning", json!(0)),
        ("/job/chains/config/steps", huge.clone()),
        ("/job/chains/config/warm_up", json!(u64::MAX)),
        ("/job/chains/config/step_size", json!(-1.0)),
        ("/job/chains/leapfrog", json!(0)),
        ("/job/chains/snapshot/step", json!(u64::MAX)),
        ("/job/chains/snapshot/dim", json!(0)),
        ("/job/chains/snapshot/dim", huge.clone()),
        ("/job/chains/snapshot/position", json!([1.0])),
        ("/job/chains/snapshot/draws", json!([1.0])),
        ("/job/chains/snapshot/scale", json!([1.0])),
        ("/job/chains/snapshot/scale", json!([0.0, -1.0])),
        ("/job/chains/snapshot/step_size", json!(-1.0)),
        ("/job/chains/snapshot/config/chains", json!(3)),
        ("/job/chains/snapshot/config/thinning", json!(0)),
        ("/conditions", json!([[1.0]])),
        ("/conditions", json!([[1.0], [1.0, 2.0]])),
        ("/job", json!(null)),
    ];
    all_refused(&folder, "s.checkpoint", "sample --resume s.checkpoint", &changes);
    // A time model's, whose rows come in blocks.
    folder.succeeds(&format!("fit good.csv {QUICK} --noise vp -o t"));
    let line = "sample t -n 100000 --steps 4000 --checkpoint-every 0 -o r";
    stopped(&folder, "", line, "r.checkpoint");
    let changes = [
        ("/job/reverse/n", json!(u64::MAX)),
        ("/job/reverse/steps", json!(0)),
        ("/job/reverse/steps", json!(u64::MAX)),
        ("/job/reverse/block", huge),
        ("/job/reverse/done", json!([0.5])),
        ("/job/reverse/sampler", json!("mala")),
    ];
    all_refused(&folder, "r.checkpoint", "sample --resume r.checkpoint", &changes);
}

/// The same description, other weights: another model.
#[cfg(unix)]
#[test]
fn a_run_goes_on_with_its_own_weights_alone() {
    let folder = Folder::with_model();
    let line =
        "sample m.safetensors -n 8 --chains 4 --warm-up 1000000000 --checkpoint-every 0 -o s";
    stopped(&folder, "", line, "s.checkpoint");
    let mut model = edited(&folder.read("m.safetensors"), |_| {});
    let last = model.len() - 3;
    model[last] ^= 1;
    folder.write("m.safetensors", model);
    folder.succeeds("info m.safetensors");
    folder.fails(4, "sample --resume s.checkpoint", &["is another model than when the run began"]);
}

/// Begun on three cores, gone on with where there is one: the same bits, and a word about it.
#[cfg(unix)]
#[test]
fn a_fit_goes_on_with_the_threads_that_it_began_with() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let line = "fit good.csv --steps 3000 --hidden 8 --batch 32 --evaluate-every 20 --objective ssm \
                --patience 0 --checkpoint-every 0";
    let on = |cores: usize, line: &str| {
        folder.shell(&format!("RAYON_NUM_THREADS={cores} $GRADLOGP {line}"))
    };
    assert_eq!(on(3, &format!("{line} -o whole")).code, Some(0));
    assert_eq!(on(1, &format!("{line} -o one")).code, Some(0));
    assert_ne!(
        folder.weights("whole"),
        folder.weights("one"),
        "the number makes no difference here"
    );
    stopped(&folder, "RAYON_NUM_THREADS=3", &format!("{line} -o parts"), "parts.checkpoint");
    let ended = on(1, "fit --resume parts.checkpoint");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(folder.weights("parts"), folder.weights("whole"));
    let here = std::thread::available_parallelism().unwrap().get();
    assert_eq!(ended.err.contains("resuming with 3 threads"), here != 3, "{ended:?}");
}

#[test]
fn model_files_are_not_taken_at_their_word() {
    let folder = Folder::with_model();
    let huge = json!(1u64 << 60);
    let changes = [
        ("/graph/nodes/1/width", huge.clone()),
        ("/graph/parameters/0/shape", json!([u64::MAX, u64::MAX])),
        ("/fit/column_scale", json!([0.0, -1.0])),
        ("/fit/column_scale", json!([1.0, null])),
        ("/fit/column_mean", json!([1.0])),
        ("/fit/transform/sd", json!([1.0, 0.0])),
        ("/fit/columns", json!(["a", "a"])),
        ("/fit/columns", json!([])),
        ("/fit/training/batch", json!(0)),
        ("/fit/summary/score_scale", json!(-1.0)),
        ("/fit/dequantization", json!({"rule": "gap", "half_widths": [1.0]})),
        ("/fit/dequantization", json!({"rule": "gap", "half_widths": [1.0, -1.0]})),
        ("/fit", json!({})),
    ];
    all_refused(&folder, "m.safetensors", "score m.safetensors good.csv", &changes);
    folder.succeeds(&format!("fit good.csv {QUICK} --noise vp -o t"));
    let changes = [
        ("/fit/noise/network/hidden", json!([huge])),
        ("/fit/noise/network/hidden", json!([])),
        ("/fit/noise/network/dim", json!(u64::MAX)),
        ("/fit/noise/network/features/frequencies", json!(u64::MAX)),
        ("/fit/noise/network/floor", json!(-1.0)),
        ("/fit/noise/process/t_min", json!(-1.0)),
        ("/fit/noise/process/t_min", json!(1e300)),
        ("/fit/noise/config/levels", json!(0)),
    ];
    all_refused(&folder, "t", "score t good.csv", &changes);
}
