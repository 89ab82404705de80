//! The message type `post`: a title, and paragraphs of tagged nodes, in one language or several.

use serde_json::Value;

const LANGUAGES: [&str; 3] = ["zh_cn", "en_us", "ja_jp"];

/// Title and text of the first language, one line per paragraph.
pub(super) fn read(content: &Value) -> Result<(String, String), String> {
    let languages = content.get("post").and_then(Value::as_object).ok_or("content.post is missing")?;
    if let Some(name) = languages.keys().find(|name| !LANGUAGES.contains(&name.as_str())) {
        return Err(format!("content.post.{name} is no language"));
    }
    let posts = languages.values().map(read_post).collect::<Result<Vec<_>, _>>()?;
    posts.into_iter().next().ok_or_else(|| "content.post has no language".to_owned())
}

fn read_post(post: &Value) -> Result<(String, String), String> {
    let title = post.get("title").and_then(Value::as_str).unwrap_or_default();
    let paragraphs = post.get("content").and_then(Value::as_array).ok_or("post.content is no list")?;
    let mut lines = Vec::new();
    for paragraph in paragraphs {
        let nodes = paragraph.as_array().ok_or("a paragraph of post.content is no list")?;
        lines.push(nodes.iter().map(read_node).collect::<Result<String, _>>()?);
    }
    if lines.is_empty() {
        return Err("post.content is empty".to_owned());
    }
    Ok((title.to_owned(), lines.join("\n")))
}

fn read_node(node: &Value) -> Result<String, String> {
    let text = |name: &str| node.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let needed = |name: &str| text(name).ok_or_else(|| format!("a node of a post has no {name}"));
    match needed("tag")? {
        "text" => needed("text").map(str::to_owned),
        "a" => needed("href").and(needed("text")).map(str::to_owned),
        "at" => needed("user_id").map(|who| format!("@{who}")),
        "img" => needed("image_key").map(|_| String::new()),
        other => Err(format!("a post has no nodes with the tag {other}")),
    }
}
