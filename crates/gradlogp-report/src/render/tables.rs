//! The tables of the page: what was fitted, the checks, columns in figures, settings.

use super::data::{Check, Fitted, Grade, ReportData};
use super::stats::{mean_and_deviation, usable};
use super::text::{count, escape, estimate, number, shorten};

/// Style class, symbol and word of an outcome; never told apart by colour alone.
pub(super) fn grade(grade: Grade) -> (&'static str, &'static str, &'static str) {
    match grade {
        Grade::Pass => ("pass", "✓", "pass"),
        Grade::Warn => ("warn", "!", "caution"),
        Grade::Fail => ("fail", "✗", "fail"),
        Grade::Info => ("info", "i", "for information"),
    }
}

/// What was fitted, as a row of name and value pairs.
pub(super) fn fitted(f: &Fitted) -> String {
    let size = format!("{}, {}", count(f.rows, "row"), count(f.columns, "column"));
    let mut pairs = vec![
        ("Data", f.data_name.clone()),
        ("Size", size),
        ("Model", f.model.clone()),
        ("Objective", f.objective.clone()),
        ("Slices", f.slices.clone()),
        ("Seed", f.seed.to_string()),
        ("Version", f.version.clone()),
    ];
    pairs.extend(f.date.clone().map(|d| ("Date", d)));
    let pair = |(name, value): &(&str, String)| {
        format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(value))
    };
    let shown = pairs.iter().filter(|p| !p.1.is_empty());
    format!("<dl class=\"facts\">{}</dl>", shown.map(pair).collect::<String>())
}

/// The check table; empty without checks.
pub(super) fn checks(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows: String = checks.iter().map(check).collect();
    format!(
        "<section id=\"checks\" class=\"card\"><h2>Checks on held-out rows</h2>\
         <div class=\"scroll\"><table class=\"checks\"><thead><tr><th scope=\"col\">Check</th>\
         <th scope=\"col\" class=\"num\">Value ± standard error</th>\
         <th scope=\"col\">Perfect fit</th><th scope=\"col\">Outcome</th></tr></thead>\
         <tbody>{rows}</tbody></table></div></section>\n"
    )
}

fn check(c: &Check) -> String {
    let (class, symbol, word) = grade(c.grade);
    format!(
        "<tr><th scope=\"row\">{}<p>{}</p></th><td class=\"num\" data-label=\"Value\">{}</td>\
         <td data-label=\"Perfect fit\">{}</td><td data-label=\"Outcome\">\
         <span class=\"badge {class}\"><b aria-hidden=\"true\">{symbol}</b> {word}</span></td></tr>",
        escape(&c.name),
        escape(&c.explanation),
        escape(&estimate(c.value)),
        escape(c.expected.as_deref().unwrap_or("–")),
    )
}

/// Mean and standard deviation of every column, of data and samples.
pub(super) fn columns(data: &ReportData, distances: &[f64]) -> String {
    if data.columns.is_empty() || data.data.nrows() == 0 {
        return String::new();
    }
    let drawn = data.drawn().is_some();
    let (over, under) = if drawn {
        (
            "<th colspan=\"2\" scope=\"colgroup\">Samples</th><th rowspan=\"2\">D</th>",
            "<th scope=\"col\">mean</th><th scope=\"col\">st. dev.</th>",
        )
    } else {
        ("", "")
    };
    let rows: String = (0..data.columns.len()).map(|j| column(data, j, distances)).collect();
    format!(
        "<details id=\"columns\" class=\"card\"><summary><h2>Columns in figures</h2></summary>\
         <div class=\"scroll\"><table class=\"figures\"><thead><tr><th rowspan=\"2\">Column</th>\
         <th colspan=\"2\" scope=\"colgroup\">Held-out rows</th>{over}</tr>\
         <tr><th scope=\"col\">mean</th><th scope=\"col\">st. dev.</th>{under}</tr></thead>\
         <tbody>{rows}</tbody></table></div></details>\n"
    )
}

fn column(data: &ReportData, j: usize, distances: &[f64]) -> String {
    let cells = |values: Vec<f64>| {
        let (mean, deviation) = mean_and_deviation(&values);
        format!(
            "<td class=\"num\">{}</td><td class=\"num\">{}</td>",
            number(mean),
            number(deviation)
        )
    };
    let mut row = cells(usable(data.data.column(j)));
    if let Some(samples) = data.drawn() {
        row += &cells(usable(samples.column(j)));
        let distance = distances.get(j).map_or_else(String::new, |d| number(*d));
        row += &format!("<td class=\"num\">{distance}</td>");
    }
    let name = escape(&shorten(&data.name(j), 80));
    format!("<tr><th scope=\"row\">{name}</th>{row}</tr>")
}

/// All settings; empty without any.
pub(super) fn settings(settings: &[(String, String)]) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let row = |(name, value): &(String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value))
    };
    format!(
        "<details id=\"settings\" class=\"card\"><summary><h2>Settings</h2></summary>\
         <div class=\"scroll\"><table class=\"settings\"><tbody>{}</tbody></table></div></details>\n",
        settings.iter().map(row).collect::<String>()
    )
}
