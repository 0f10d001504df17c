//! `--model dkef` and `--model kef` on the way of every other model: fit, info, eval, score, sample.

use super::support::Folder;

/// Two-column standard normals are needed with a known density: the built-in banana has one.
const FIT: &str = "fit --dataset banana --rows 1500 --inducing 40 --threads 1";

#[test]
fn a_family_goes_the_way_of_every_model_and_its_density_is_normalized() {
    for kind in ["dkef --steps 150", "kef"] {
        let folder = Folder::new();
        let fitted = folder.succeeds(&format!("{FIT} --model {kind} -o m.safetensors --json"));
        let fitted = fitted.json();
        let divergence = fitted["relative_fisher_divergence"].as_f64().unwrap();
        assert!(divergence < 0.2, "{kind}: {divergence}");
        let kernel = &fitted["kernel"];
        assert_eq!(kernel["family"]["inducing"], 40);
        let error = kernel["log_normalizer"]["standard_error"].as_f64().unwrap();
        assert!(error < 0.05, "{kind}: {error}");
        let told = folder.succeeds("info m.safetensors").out;
        for piece in ["kernel exponential family", "40 inducing points", "log Z", "condition"] {
            assert!(told.contains(piece), "{kind}: {piece}\n{told}");
        }
        folder.succeeds("eval m.safetensors --dataset banana --rows 200");
        // The integral of exp(log density) over a grid that holds nearly all of it is 1.
        let (side, half) = (60, 9.0);
        let width = 2.0 * half / f64::from(side);
        let cell = |k: i32| -half + (f64::from(k) + 0.5) * width;
        let columns = told.lines().find_map(|l| l.trim().strip_prefix("Columns")).unwrap();
        let mut grid = columns.trim().replace(", ", ",") + "\n";
        for i in 0..side {
            for j in 0..side {
                grid += &format!("{},{}\n", cell(i), cell(j));
            }
        }
        folder.write("grid.csv", grid);
        folder.succeeds("score m.safetensors grid.csv -o scores.csv");
        let text = folder.text("scores.csv");
        let mut lines = text.lines();
        let at = lines.next().unwrap().split(',').position(|c| c == "log_density").unwrap();
        let density = lines.map(|l| l.split(',').nth(at).unwrap().parse::<f64>().unwrap().exp());
        let integral = density.sum::<f64>() * width * width;
        assert!((integral - 1.0).abs() < 0.1, "{kind}: {integral}");
        let drawn = folder.succeeds("sample m.safetensors -n 60 --warm-up 100 -o s.csv --json");
        assert_eq!(drawn.json()["sampler"], "mala");
    }
}

#[test]
fn curvature_propagation_fits_too() {
    let folder = Folder::new();
    let fit = format!("{FIT} --model dkef --steps 150 --objective cp --slices 2 -o m --json");
    let fitted = folder.succeeds(&fit).json();
    assert_eq!(fitted["kernel"]["estimator"]["name"], "curvature-propagation");
    let divergence = fitted["relative_fisher_divergence"].as_f64().unwrap();
    assert!(divergence < 0.5, "{divergence}");
    for (objective, piece) in [("fd-ssm", "cp"), ("approx-backprop", "which is unbiased")] {
        let fit = format!("{FIT} --model dkef --objective {objective} -o n");
        folder.fails(2, &fit, &["--objective", piece]);
    }
}

#[test]
fn the_same_seed_gives_the_same_family() {
    let folder = Folder::new();
    let fit = |name: &str, options: &str| {
        folder.succeeds(&format!("{FIT} --model dkef --steps 5 {options} -o {name}"));
        folder.weights(name)
    };
    let first = fit("first", "--seed 4");
    assert_eq!(fit("second", "--seed 4"), first);
    assert_ne!(fit("third", "--seed 5"), first);
}

#[test]
fn what_a_family_cannot_do_is_refused() {
    let folder = Folder::new();
    let refused = |options: &str, pieces: &[&str]| {
        folder.fails(2, &format!("fit --dataset banana {options} -o m"), pieces);
        assert!(!folder.has("m"));
    };
    refused("--model dkef --hidden 8", &["--hidden has no effect"]);
    refused("--model potential --inducing 8", &["--inducing has no effect"]);
    refused("--model kef --inducing 0", &["--inducing", "at least one"]);
    refused("--model kef --base-scale 0", &["--base-scale", "positive"]);
    folder.fails(2, "bench step --model dkef --dim 2", &["score or potential"]);
}
