//! The message type `interactive`: cards of schema 2.0, and of the one before.
//!
//! Every element has to be of a known tag, also inside of columns; those that the operator may send are checked as a
//! whole. Buttons of a custom robot can only open a page.

use serde_json::Value;

const COLOURS: [&str; 13] = [
    "blue",
    "wathet",
    "turquoise",
    "green",
    "yellow",
    "orange",
    "red",
    "carmine",
    "violet",
    "purple",
    "indigo",
    "grey",
    "default",
];
/// Tags that are looked at no further.
const OTHER_TAGS: [&str; 6] = ["img", "table", "chart", "person", "person_list", "img_combination"];

/// Title of the header, and the text of all elements, one a line.
pub(super) fn read(card: &Value) -> Result<(String, String), String> {
    let text = |path: &str| card.pointer(path).and_then(Value::as_str);
    let title = plain(card.pointer("/header/title")).map_err(|why| format!("header.title {why}"))?;
    let colour = text("/header/template").ok_or("header.template is missing")?;
    if !COLOURS.contains(&colour) {
        return Err(format!("header.template has no colour {colour}"));
    }
    let schema = text("/schema");
    let (place, foreign) = match schema {
        Some("2.0") => ("/body/elements", "/elements"),
        None | Some("1.0") => ("/elements", "/body"),
        Some(other) => return Err(format!("schema {other} does not exist")),
    };
    if card.pointer(foreign).is_some() {
        return Err(format!("{foreign} does not exist in this schema"));
    }
    let elements = card.pointer(place).and_then(Value::as_array).filter(|elements| !elements.is_empty());
    let elements = elements.ok_or_else(|| format!("{place} is no list or is empty"))?;
    let mut lines = Vec::new();
    for element in elements {
        read_element(element, schema == Some("2.0"), &mut lines)?;
    }
    Ok((title, lines.join("\n")))
}

fn read_element(element: &Value, newer: bool, lines: &mut Vec<String>) -> Result<(), String> {
    let tag = element.get("tag").and_then(Value::as_str).ok_or("an element has no tag")?;
    let children = |name: &str| {
        let list = element.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
        list.ok_or_else(|| format!("{tag}.{name} is no list or is empty"))
    };
    match tag {
        "hr" => {}
        "markdown" => lines.push(filled(element, "content").ok_or("markdown.content is missing")?.to_owned()),
        "div" => lines.push(plain(element.get("text")).map_err(|why| format!("div.text {why}"))?),
        "button" => lines.push(read_button(element, newer)?),
        "column_set" => {
            for column in children("columns")? {
                if column.get("tag").and_then(Value::as_str) != Some("column") {
                    return Err("column_set.columns has something that is no column".to_owned());
                }
                read_element(column, newer, lines)?;
            }
        }
        "column" | "collapsible_panel" | "note" | "action" => {
            if newer && ["note", "action"].contains(&tag) || !newer && tag == "collapsible_panel" {
                return Err(format!("the tag {tag} does not exist in this schema"));
            }
            for child in children(if tag == "action" { "actions" } else { "elements" })? {
                match child.get("tag").and_then(Value::as_str) {
                    Some("plain_text" | "lark_md") if tag == "note" => lines.push(plain(Some(child))?),
                    _ => read_element(child, newer, lines)?,
                }
            }
        }
        other if OTHER_TAGS.contains(&other) => {}
        other => return Err(format!("the tag {other} does not exist")),
    }
    Ok(())
}

fn filled<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// The content of a text object.
fn plain(text: Option<&Value>) -> Result<String, String> {
    let text = text.ok_or("is missing")?;
    if !matches!(filled(text, "tag"), Some("plain_text" | "lark_md")) {
        return Err("has no tag of a text".to_owned());
    }
    Ok(filled(text, "content").ok_or("has no content")?.to_owned())
}

/// The text of a button that opens a page.
fn read_button(button: &Value, newer: bool) -> Result<String, String> {
    let text = plain(button.get("text")).map_err(|why| format!("button.text {why}"))?;
    let opens =
        |behaviour: &Value| filled(behaviour, "type") == Some("open_url") && filled(behaviour, "default_url").is_some();
    let behaviours = button.get("behaviors").and_then(Value::as_array).filter(|list| !list.is_empty());
    let leads = match behaviours {
        Some(behaviours) if newer => behaviours.iter().all(opens),
        None if !newer => filled(button, "url").is_some() || button.get("multi_url").is_some(),
        _ => false,
    };
    if leads { Ok(text) } else { Err(format!("the button {text} opens no page")) }
}
