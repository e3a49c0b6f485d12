//! Markdown: how long its lines are, and that what it links to or names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{assert_none, files, root, text};

/// The longest that a line of prose may be.
const COLUMNS: usize = 100;

/// `make generate` makes these, a paragraph a line.
const GENERATED: [&str; 3] = ["docs/chatcluster.md", "docs/configuration.md", "docs/metrics.md"];

fn pages() -> Vec<PathBuf> {
    files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The lines of a page with their numbers, without its blocks of code.
fn lines(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        if !fence && !fenced && !line.starts_with("    ") {
            lines.push((number + 1, line));
        }
        fenced ^= fence;
    }
    lines
}

/// A row of a table, a link's definition, or one word: none can be broken.
fn is_whole(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-']);
    line.starts_with('|') || (line.starts_with('[') && line.contains("]: ")) || !line.contains(' ')
}

#[test]
fn lines_of_prose_end_at_100_columns() {
    let mut problems = Vec::new();
    for page in pages().into_iter().filter(|page| !GENERATED.iter().any(|generated| page == Path::new(generated))) {
        for (number, line) in lines(&text(&page)) {
            let columns = line.chars().count();
            if columns > COLUMNS && !is_whole(line) {
                problems.push(format!("{}:{number}: {columns} columns, more than {COLUMNS}", page.display()));
            }
        }
    }
    assert_none(&problems);
}

/// What links name a page's headings by.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in lines(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        let anchor: String = kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
        let count = counts.entry(anchor.clone()).or_insert(0);
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// Where the links of a line lead: `[text](TARGET)`, `[name]: TARGET`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = line.split_once("]: ").filter(|_| line.starts_with('[')).map(|(_, target)| target);
    inline.chain(defined).filter(|target| !target.contains("://")).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (number, line) in lines(&text(&page)) {
            for target in targets(line) {
                seen += 1;
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
                let exists = root().join(&file).exists();
                if !exists || !anchor.is_empty() && !anchors(&text(&file)).contains(anchor) {
                    problems.push(format!("{}:{number}: {target} does not exist", page.display()));
                }
            }
        }
    }
    assert!(seen > 50, "these can't be all links: {seen}");
    assert_none(&problems);
}

/// Scenarios are named as `FILE::SCENARIO`, files of this crate.
#[test]
fn scenarios_that_docs_name_exist() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (number, line) in lines(&text(&page)) {
            for quoted in line.split('`').skip(1).step_by(2) {
                let Some((file, scenario)) = quoted.split_once("::") else { continue };
                let path = Path::new("tests").join(format!("{file}.rs"));
                if !root().join(&path).is_file() {
                    continue;
                }
                seen += 1;
                if !text(&path).contains(&format!("fn {scenario}(")) {
                    problems.push(format!("{}:{number}: {quoted} does not exist", page.display()));
                }
            }
        }
    }
    assert!(seen > 20, "these can't be all scenarios: {seen}");
    assert_none(&problems);
}

/// What is moved or renamed is so in the docs, too.
#[test]
fn source_files_that_docs_name_exist() {
    let files: Vec<String> = files().iter().map(|file| format!("/{}", file.display())).collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (number, line) in lines(&text(&page)) {
            let quoted = line.split('`').skip(1).step_by(2);
            let names = quoted.filter(|name| [".rs", ".lua", ".mjs", ".cjs"].iter().any(|end| name.ends_with(end)));
            for name in names.filter(|name| !name.contains([' ', '{', '*'])) {
                seen += 1;
                if !files.iter().any(|file| file.ends_with(&format!("/{name}"))) {
                    problems.push(format!("{}:{number}: {name} does not exist", page.display()));
                }
            }
        }
    }
    assert!(seen > 10, "these can't be all files: {seen}");
    assert_none(&problems);
}
