//! What a command answers for a row does not depend on the other rows of the file.

use super::support::{Folder, QUICK, pairs, table};

/// The lines after the header.
fn lines(text: &str) -> Vec<&str> {
    text.lines().skip(1).collect()
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(',').map(|cell| cell.parse().unwrap()).collect()
}

/// near.csv: five rows; far.csv: the same, with three that are far off, one of them beyond all hope; one.csv: the
/// third alone.
fn tables(folder: &Folder) {
    let near: Vec<String> = pairs(5).iter().map(|(a, b)| format!("{a},{b}\n")).collect();
    folder.write("near.csv", format!("a,b\n{}", near.concat()));
    folder.write("one.csv", format!("a,b\n{}", near[2]));
    let far = "1e5,1\n999999999999999,-3\n1e150,1e150\n";
    folder.write("far.csv", format!("a,b\n{}{far}", near.concat()));
}

/// A time model, quickly.
fn over_time(folder: &Folder, options: &str, name: &str) {
    folder.succeeds(&format!("fit good.csv {QUICK} --hidden 16 --noise {options} -o {name}"));
}

#[test]
fn score_and_loglik_answer_a_row_alike_in_any_company() {
    let folder = Folder::with_model();
    tables(&folder);
    folder.succeeds(&format!("fit good.csv {QUICK} --standardize whiten -o w"));
    folder.succeeds(&format!("fit good.csv {QUICK} --model score -o s"));
    over_time(&folder, "vp", "t");
    over_time(&folder, "ve --model potential --sigma-max 5", "v");
    for line in [
        "score m.safetensors {} --hessian-diagonal --anomaly",
        "score m.safetensors {} --log-z 1",
        "score w {} --hessian-diagonal",
        "score s {} --anomaly=path",
        "score s {} --anomaly=norm",
        "score t {} --at 0.3",
        "score v {} --anomaly=scales",
        "loglik t {} -o /dev/stdout -q",
        "loglik t {} -o /dev/stdout -q --probes 3",
        "loglik v {} -o /dev/stdout -q --tolerance 1e-3",
    ] {
        let run = |file: &str| folder.run(&line.replace("{}", file));
        let (near, far, one) = (run("near.csv"), run("far.csv"), run("one.csv"));
        assert_eq!((near.code, one.code), (Some(0), Some(0)), "{line}\n{near:?}");
        let of = |out: &str| lines(out).into_iter().take(5).map(String::from).collect::<Vec<_>>();
        assert_eq!(of(&near.out), of(&far.out), "{line}");
        if !line.contains("--probes") {
            assert_eq!(lines(&one.out)[0], lines(&near.out)[2], "{line}");
        }
        // Numbers in every column or a code and the row's number.
        let hopeless = lines(&far.out)[5..8]
            .iter()
            .any(|line| line.split(',').any(|cell| !cell.parse::<f64>().is_ok_and(f64::is_finite)));
        assert_eq!(far.code, Some(if hopeless { 6 } else { 0 }), "{line}\n{far:?}");
        if hopeless {
            assert!(far.err.contains("far.csv") && far.err.contains("row"), "{far:?}");
        }
    }
}

#[test]
fn impute_draws_a_row_alike_in_any_company() {
    let folder = Folder::with_model();
    folder.succeeds(&format!("fit good.csv {QUICK} --model score -o s"));
    over_time(&folder, "vp", "t");
    let near: String = (0..6).map(|i| format!("{},\n", f64::from(i) / 2.0 - 1.0)).collect();
    folder.write("near.csv", format!("a,b\n{near}"));
    folder.write("far.csv", format!("a,b\n{near}1e5,\n999999999999999,\n,1e150\n"));
    for model in ["m.safetensors", "s", "t"] {
        let run = |file: &str| {
            folder.run(&format!("impute {model} {file} --draws 2 --warm-up 40 --steps 30"))
        };
        let (near, far) = (run("near.csv"), run("far.csv"));
        assert_eq!(near.code, Some(0), "{near:?}");
        let of = |out: &str, rows: usize| -> Vec<String> {
            let kept = lines(out).into_iter().enumerate().filter(|(k, _)| k % rows < 6);
            kept.map(|(_, line)| line.to_string()).collect()
        };
        assert_eq!(of(&near.out, 6), of(&far.out, 9), "{model}");
    }
}

/// One far row among 200 leaves the conditional distribution of the others as it is.
#[test]
fn one_far_row_does_not_freeze_the_others() {
    let folder = Folder::new();
    // b = 0.9 a + 0.44 z, from sums of twelve uniforms.
    let fraction = |x: f64| x - x.floor();
    let normal = |i: usize, k: usize| -> f64 {
        let u = |j: usize| fraction((i + 1) as f64 * ((k + j) as f64 + 2.5).sqrt() * 1.7);
        (0..12).map(|j| u(3 * j)).sum::<f64>() - 6.0
    };
    let rows = (0..1500).map(|i| {
        let a = normal(i, 1);
        format!("{a:.6},{:.6}\n", 0.9 * a + 0.436 * normal(i, 2))
    });
    folder.write("g.csv", format!("a,b\n{}", rows.collect::<String>()));
    let fit = "fit g.csv --threads 1 --hidden 32,32 -q";
    folder.succeeds(&format!("{fit} --steps 600 --model score -o s"));
    folder.succeeds(&format!("{fit} --steps 1000 --noise vp -o t"));
    folder.write("far.csv", format!("a,b\n{}1e5,\n", "1.5,\n".repeat(200)));
    for model in ["s", "t"] {
        let out = folder.run(&format!("impute {model} far.csv")).out;
        let b: Vec<f64> = lines(&out)[..200].iter().map(|line| numbers(line)[1]).collect();
        let mean = b.iter().sum::<f64>() / 200.0;
        let sd = (b.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
        assert!((mean - 1.35).abs() < 0.15, "{model}: mean {mean}");
        assert!((sd - 0.436).abs() < 0.1, "{model}: sd {sd}");
    }
}

/// b given c is narrow where c = -1 and ten times wider where c = 2.
#[test]
fn a_condition_is_sampled_with_steps_of_its_own() {
    let folder = Folder::new();
    let rows = pairs(3000).into_iter().enumerate().map(|(i, (a, _))| match i % 2 {
        0 => format!("{},-1\n", -2.0 + 0.8 * a),
        _ => format!("{},2\n", 8.0 * a),
    });
    folder.write("t.csv", format!("b,c\n{}", rows.collect::<String>()));
    let fit = "fit t.csv --given c --threads 1 --hidden 32,32 --steps 1500 --rate 5e-3 -q";
    folder.succeeds(&format!("{fit} -o m"));
    folder.write("few.csv", "c\n-1\n-1\n");
    folder.write("many.csv", format!("c\n{}{}", "-1\n".repeat(20), "2\n".repeat(200)));
    for sampler in ["mala", "hmc"] {
        let line = format!("sample m -n 20 --warm-up 500 --thinning 10 --sampler {sampler}");
        let out = folder.succeeds(&format!("{line} --given-rows many.csv -q")).out;
        let rows: Vec<Vec<f64>> = lines(&out).into_iter().map(numbers).collect();
        assert_eq!(rows.len(), 20 * 220);
        for (c, mean, sd) in [(-1.0, -2.0, 0.4), (2.0, 0.0, 4.0)] {
            let b: Vec<f64> = rows.iter().filter(|row| row[1] == c).map(|row| row[0]).collect();
            let found = b.iter().sum::<f64>() / b.len() as f64;
            let spread =
                (b.iter().map(|b| (b - found).powi(2)).sum::<f64>() / b.len() as f64).sqrt();
            assert!((found - mean).abs() < 0.35 * sd, "{sampler}, c = {c}: mean {found}");
            assert!((spread / sd - 1.0).abs() < 0.3, "{sampler}, c = {c}: sd {spread}");
        }
        // The first conditions have the draws that they have with no others beside them.
        let few = folder.succeeds(&format!("{line} --given-rows few.csv -q")).out;
        assert_eq!(lines(&few), lines(&out)[..40]);
    }
}

#[test]
fn conditions_far_from_training_are_named() {
    let folder = Folder::new();
    folder.write("t.csv", table(300));
    folder.succeeds(&format!("fit t.csv --given a {QUICK} -o m"));
    folder.write("far.csv", "a,b\n0.5,1\n1000,1\n-70,1\n");
    let score = folder.run("score m far.csv");
    assert!(score.err.contains("condition \"a\": 1000 in rows 2, 3"), "{score:?}");
    let line = "-n 2 --warm-up 5 --thinning 1";
    let drawn = folder.run(&format!("sample m {line} --given-rows far.csv"));
    assert!(drawn.err.contains("condition \"a\": 1000 in rows 2, 3"), "{drawn:?}");
    let drawn = folder.run(&format!("sample m {line} --given-values a=50"));
    assert!(drawn.err.contains("condition \"a\": 50"), "{drawn:?}");
    let near = folder.succeeds(&format!("sample m {line} --given-values a=0.5"));
    assert!(!near.err.contains("condition"), "{near:?}");
}

/// log Z is a property of the model: one row far off leaves it as it is.
#[test]
fn one_far_row_does_not_spoil_the_normalized_density() {
    let folder = Folder::new();
    folder.write("good.csv", table(600));
    folder.succeeds("fit good.csv --steps 300 --hidden 16 --threads 1 -o m -q");
    folder.write("far.csv", format!("{}1e5,3\n", table(600)));
    let run = |file: &str| folder.succeeds(&format!("score m {file} --normalize")).out;
    let (near, far) = (run("good.csv"), run("far.csv"));
    for (near, far) in lines(&near).into_iter().zip(lines(&far)) {
        let (near, far) = (numbers(near), numbers(far));
        assert_eq!(near[..4], far[..4]);
        assert!((near[4] - far[4]).abs() < 0.05, "{near:?} {far:?}");
    }
}
