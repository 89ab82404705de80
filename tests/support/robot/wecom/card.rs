//! The template card `text_notice`.

use serde_json::{Map, Value};

use super::super::inspect::Refusal;
use super::wrong;

const FIELDS: [&str; 10] = [
    "card_type",
    "source",
    "main_title",
    "emphasis_content",
    "quote_area",
    "sub_title_text",
    "horizontal_content_list",
    "jump_list",
    "card_action",
    "task_id",
];
const MOST_FACTS: usize = 6;
const MOST_JUMPS: usize = 3;

/// Title and text of a card: its title, and below that everything else in the order of the screen.
pub(super) fn read(card: &Map<String, Value>) -> Result<(String, String), Refusal> {
    if card.get("card_type").and_then(Value::as_str) != Some("text_notice") {
        return Err(wrong("template_card.card_type is not text_notice"));
    }
    if let Some(name) = card.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(wrong(&format!("unknown parameter template_card.{name}")));
    }
    let card = Value::Object(card.clone());
    let text = |path: &str| card.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (title, sub_title) = (text("/main_title/title"), text("/sub_title_text"));
    if title.is_empty() && sub_title.is_empty() {
        return Err(wrong("template_card.main_title.title and sub_title_text are both missing"));
    }
    check_action(card.get("card_action"))?;
    let mut lines: Vec<String> = ["/main_title/desc", "/emphasis_content/title", "/emphasis_content/desc"]
        .map(|path| text(path).to_owned())
        .into_iter()
        .chain([sub_title.to_owned()])
        .filter(|line| !line.is_empty())
        .collect();
    for fact in list(&card, "horizontal_content_list", MOST_FACTS)? {
        lines.push(read_fact(fact)?);
    }
    for jump in list(&card, "jump_list", MOST_JUMPS)? {
        check_jump(jump)?;
    }
    let title = if title.is_empty() { sub_title } else { title };
    Ok((title.to_owned(), lines.join("\n")))
}

fn list<'a>(card: &'a Value, name: &str, most: usize) -> Result<&'a [Value], Refusal> {
    let Some(value) = card.get(name) else { return Ok(&[]) };
    let list = value.as_array().ok_or_else(|| wrong(&format!("template_card.{name} is no list")))?;
    if list.len() > most {
        return Err(wrong(&format!("template_card.{name} exceed max length {most}")));
    }
    Ok(list)
}

fn filled(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

fn kind(value: &Value) -> Option<u64> {
    value.get("type").map_or(Some(0), Value::as_u64)
}

/// What a tap on the card opens: a page or a mini-program. Without it the real one refuses the card.
fn check_action(action: Option<&Value>) -> Result<(), Refusal> {
    let action = action.ok_or_else(|| wrong("template_card.card_action is missing"))?;
    let fine = match kind(action) {
        Some(1) => filled(action, "url"),
        Some(2) => filled(action, "appid"),
        _ => false,
    };
    if fine { Ok(()) } else { Err(wrong("template_card.card_action leads nowhere")) }
}

fn read_fact(fact: &Value) -> Result<String, Refusal> {
    let needs = match kind(fact) {
        Some(0) => "keyname",
        Some(1) => "url",
        Some(2) => "media_id",
        Some(3) => "userid",
        _ => return Err(wrong("template_card.horizontal_content_list has an unknown type")),
    };
    if !filled(fact, "keyname") || !filled(fact, needs) {
        return Err(wrong(&format!("template_card.horizontal_content_list has no keyname or no {needs}")));
    }
    let text = |name: &str| fact.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(format!("{}: {}", text("keyname"), text("value")))
}

fn check_jump(jump: &Value) -> Result<(), Refusal> {
    let fine = match kind(jump) {
        Some(0) => true,
        Some(1) => filled(jump, "url"),
        Some(2) => filled(jump, "appid"),
        _ => false,
    };
    if fine && filled(jump, "title") { Ok(()) } else { Err(wrong("template_card.jump_list leads nowhere")) }
}
