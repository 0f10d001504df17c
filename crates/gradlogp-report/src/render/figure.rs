//! A figure on the page: drawings, the key to their colours, and what they mean.

use super::text::escape;

/// One entry of a figure's key: marks of style `class`, drawn along `path`, mean `text`.
pub(super) struct Key {
    class: &'static str,
    path: &'static str,
    text: String,
}

impl Key {
    /// The lines of style `class` mean `text`.
    pub(super) fn line(class: &'static str, text: impl Into<String>) -> Self {
        Self { class, path: "M6 15H54", text: text.into() }
    }

    /// The points of style `class` mean `text`.
    pub(super) fn points(class: &'static str, text: impl Into<String>) -> Self {
        Self { class, path: "M12 15h0M30 15h0M48 15h0", text: text.into() }
    }

    /// The areas of style `class` mean `text`.
    pub(super) fn area(class: &'static str, text: impl Into<String>) -> Self {
        Self { class, path: "M6 4H54V26H6Z", text: text.into() }
    }
}

/// One figure.
pub(super) struct Figure {
    /// Element id, stable: tests look for it.
    pub(super) id: &'static str,
    /// Heading, plain text.
    pub(super) title: String,
    /// Drawings (HTML), laid out side by side where there is room.
    pub(super) plots: Vec<String>,
    /// Key to the colours.
    pub(super) keys: Vec<Key>,
    /// Explanation in plain text, one sentence or two each.
    pub(super) caption: Vec<String>,
}

impl Figure {
    /// The `<figure>` element.
    pub(super) fn html(&self) -> String {
        let keys: String = self.keys.iter().map(key).collect();
        let caption: String =
            self.caption.iter().map(|line| format!("<p>{}</p>", escape(line))).collect();
        format!(
            "<figure id=\"{}\" class=\"card\"><h2>{}</h2>{}<div class=\"plots\">{}</div>\
             <figcaption>{caption}</figcaption></figure>\n",
            self.id,
            escape(&self.title),
            if keys.is_empty() { keys } else { format!("<ul class=\"key\">{keys}</ul>") },
            self.plots.concat()
        )
    }
}

fn key(key: &Key) -> String {
    format!(
        "<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 60 30\">\
         <path class=\"{}\" d=\"{}\"/></svg>{}</li>",
        key.class,
        key.path,
        escape(&key.text)
    )
}
