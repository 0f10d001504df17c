//! The page as a whole.

use super::data::ReportData;
use super::figure::Figure;
use super::tables;
use super::text::escape;

/// Nothing is loaded from anywhere and nothing on the page runs, whatever a column is called.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The finished HTML document.
pub(super) fn assemble(data: &ReportData, figures: &[Figure], distances: &[f64]) -> String {
    let figures: String = figures.iter().map(Figure::html).collect();
    let parts = [
        verdict(data),
        warnings(&data.warnings),
        tables::checks(&data.checks),
        format!("<div class=\"figures\">{figures}</div>\n"),
        tables::columns(data, distances),
        command(data),
        tables::settings(&data.settings),
        GLOSSARY.to_string(),
    ];
    document(&data.title, &tables::fitted(&data.fitted), &parts.concat())
}

/// A whole document: heading, facts below it, and the rest.
pub(super) fn document(title: &str, facts: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1>{facts}</header>\n{body}</main>\n</body>\n</html>\n",
        include_str!("style.css")
    )
}

fn verdict(data: &ReportData) -> String {
    let v = &data.verdict;
    let (class, symbol, word) = tables::grade(v.grade);
    let details: String = v.details.iter().map(|d| format!("<p>{}</p>", escape(d))).collect();
    format!(
        "<section id=\"verdict\" class=\"card verdict {class}\">\
         <span class=\"symbol\" role=\"img\" aria-label=\"{word}\">{symbol}</span>\
         <div><h2>{}</h2>{details}</div></section>\n",
        escape(&v.headline)
    )
}

/// How to make the fit again.
fn command(data: &ReportData) -> String {
    data.command.as_ref().map_or_else(String::new, |command| {
        format!(
            "<section id=\"command\" class=\"card\"><h2>The command that makes this fit again</h2>\
             <pre class=\"scroll\">{}</pre></section>\n",
            escape(command)
        )
    })
}

fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items: String = warnings.iter().map(|w| format!("<li>{}</li>", escape(w))).collect();
    format!(
        "<section id=\"warnings\" class=\"card warnings\"><h2>Before you rely on this</h2>\
         <ul>{items}</ul></section>\n"
    )
}

const GLOSSARY: &str = "<section id=\"glossary\" class=\"card glossary\"><h2>Words on this page</h2><dl>
<dt>Score</dt><dd>The gradient of the log density, s(x) = ∇ log p(x): at each point, the direction in \
which data become more likely, and how fast. Its unit is 1 over the unit of the column.</dd>
<dt>Loss</dt><dd>J = E[½ |s(x)|² + tr ∇s(x)]. It differs from half the mean squared error of the score by a \
constant of the data, so it ranks models, but its value alone does not say how good one is. At the \
optimum it equals −½ E|s(x)|².</dd>
<dt>Standard error</dt><dd>How much a figure would vary over other held-out rows of the same number. Two \
standard errors either way cover about 95% of that.</dd>
<dt>Stein identities</dt><dd>For the true score, E[s(x)] = 0 and E[s(x) xᵀ] = −I, whatever the data. They need no \
ground truth, so they can be tested on held-out rows: a slope below 1 means a score that is too weak, \
above 1 one that is too strong. A wrong score can pass them; a right one fails one of them in about one check of \
twenty. Where the data end at bounds, rows count by their distance to these.</dd>
<dt>Held-out rows</dt><dd>Rows that training never used to change the weights.</dd>
<dt>Samples</dt><dd>Rows drawn from the fitted model, by chains or from noise. If they differ from the data, either the \
model is wrong or the sampler has not yet arrived.</dd>
</dl></section>
";
