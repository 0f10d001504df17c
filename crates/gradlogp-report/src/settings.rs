//! What a model is and how it was fitted, in words.

use gradlogp::FittedModel;
use gradlogp::domain::Domain;
use gradlogp::model::Conditioning;
use gradlogp::words::short;

/// What a model is and how it was fitted, in words.
pub fn settings(model: &FittedModel) -> Vec<(String, String)> {
    let d = model.description();
    let (t, n) = (&d.training, &d.network);
    let hidden: Vec<String> = n.hidden.iter().map(ToString::to_string).collect();
    let scaling = match d.noise.as_ref().and_then(|noise| noise.scaling.as_ref()) {
        None if d.transform.has_marginals() => {
            format!("{}, of columns made normal", d.transform.kind())
        }
        None => d.transform.kind().to_string(),
        Some(over_time) => format!("{}, measured at every time", over_time.kind),
    };
    // In the order in which they are shown: what a model does not have is left out where it would stand.
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    row("Data", format!("{} ({} rows)", d.data.source, d.data.rows));
    let [training, validation, test] = d.data.parts;
    row("Rows used", format!("{training} training, {validation} validation, {test} test"));
    row("Columns", d.columns.join(", "));
    if d.condition.is_some() {
        let film = if n.conditioning == Conditioning::Film { " (film)" } else { "" };
        row("Given", format!("{}{film}", model.condition_columns().join(", ")));
    }
    row("Scaling", scaling);
    match &d.kernel {
        None => row("Model", n.kind.to_string()),
        Some(kernel) => {
            let f = &kernel.family;
            let kernels = match f.features {
                Some(h) => format!("{} over {h} learnt features", f.log_widths.len()),
                None => "1 over the columns".into(),
            };
            row("Model", "kernel exponential family".into());
            row("Kernels", format!("{kernels}, {} inducing points", f.inducing));
        }
    }
    if d.kernel.is_none() || !hidden.is_empty() {
        row("Hidden layers", format!("{} of {}", hidden.len(), hidden.join(", ")));
        row("Activation", n.activation.to_string());
    }
    if n.members > 1 {
        row("Members", format!("{}, whose scores are averaged", n.members));
    }
    if let Some(part) = &d.gaussians {
        let share = short(100.0 * part.share);
        row(
            "Gaussian part",
            match part.weights.len() {
                1 => format!("a Gaussian with {share}% of the density"),
                count => format!("{count} Gaussians with {share}% of the density"),
            },
        );
    }
    if let Some(noise) = &d.noise {
        crate::noise::settings(noise).into_iter().for_each(|(name, value)| row(&name, value));
    }
    if let Some(tau) = n.base_scale {
        row("Gaussian base", format!("standard deviation {tau}"));
    }
    match n.base_components {
        0 => {}
        1 => row("Gaussian base", "a Gaussian that it adds to".into()),
        count => row("Gaussian base", format!("{count} Gaussians that it adds to")),
    }
    row("Objective", objective(model));
    if let Some(choice) = &d.choice {
        row("Chosen as", choice.describe(&t.slice_distribution));
    }
    let training = format!(
        "{} steps of {} rows, rate {}, {} schedule, {} seconds, {}",
        d.summary.steps,
        t.batch,
        t.learning_rate,
        t.schedule,
        short(d.summary.seconds),
        d.summary.stopped
    );
    row("Training", training);
    row("Weights kept from step", d.summary.best_step.to_string());
    row("Seed", t.seed.to_string());
    row("Written by", format!("gradlogp {}", d.library_version));
    if let Some(domain) = &d.domain {
        row("Bounds", bounds(domain, &d.columns));
    }
    if let Some(kernel) = &d.kernel {
        row("Solve", kernel_summary(kernel).trim().to_string());
    }
    if let Some(noise) = &d.dequantization {
        let named = noise.columns().filter_map(|k| d.columns.get(k).map(String::as_str));
        row("Dequantized", named.collect::<Vec<_>>().join(", "));
    }
    rows
}

/// The solution of a kernel family, in words.
pub fn kernel_summary(kernel: &gradlogp::fitted::KernelDescription) -> String {
    let z = &kernel.log_normalizer;
    let (low, high) = z.interval();
    format!(
        "log Z {} (95% {} to {}, {:.0} effective draws of {}), lambda {:.2e}, condition {:.1e}\n",
        short(z.value),
        short(low),
        short(high),
        z.effective,
        z.draws,
        kernel.record.lambda,
        kernel.record.condition
    )
}

/// Where the data ends, in words.
fn bounds(domain: &Domain, columns: &[String]) -> String {
    let side = |bound: Option<f64>| bound.map_or(String::new(), |b| b.to_string());
    match domain {
        Domain::Box(domain) => {
            let bounded = columns.iter().zip(&domain.columns);
            let bounded = bounded.filter(|(_, b)| b.low.is_some() || b.high.is_some());
            let words = bounded.map(|(name, b)| format!("{name}={}:{}", side(b.low), side(b.high)));
            words.collect::<Vec<_>>().join(", ")
        }
        Domain::Polytope(domain) => format!("{} linear inequalities", domain.faces.len()),
        Domain::Ellipsoid(domain) => format!("ball of radius {}", domain.axes[0]),
        _ => "another shape".into(),
    }
}

/// The objective with its slices, in words.
pub fn objective(model: &FittedModel) -> String {
    let t = &model.description().training;
    t.objective.describe(&t.slice_distribution)
}
