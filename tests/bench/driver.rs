//! Everything, in turn.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use crate::contender;
use crate::options::Options;
use crate::plot;
use crate::report;
use crate::results::Results;
use crate::scenario::{Extent, Scenario};
use crate::servers::Stage;

/// Runs all scenarios with all contenders, and writes what they gave after each.
pub(crate) fn run(stage: &Stage, extent: &Extent, options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let scenarios = scenarios(extent, options)?;
    let mut results = Results { machine: machine(), rounds: extent.rounds, ..Results::default() };
    for contender in contender::ALL {
        if let Some(lack) = stage.lacks(&contender) {
            eprintln!("bench: {} is left out: {lack}", contender.name);
        }
    }
    for scenario in &scenarios {
        let there: Vec<_> =
            scenario.contenders().into_iter().filter(|contender| stage.lacks(contender).is_none()).collect();
        for round in 0..scenario.rounds(extent) {
            // Nobody is always the first, when the machine may be colder, or the one after the heaviest.
            for turn in 0..there.len() {
                let contender = &there[(turn + round) % there.len()];
                let run = scenario.run(stage, contender, extent);
                let line = run.as_ref().map_or_else(|error| format!("FAILED: {error:#}"), report::line);
                let (minutes, seconds) = (start.elapsed().as_secs() / 60, start.elapsed().as_secs() % 60);
                eprintln!("bench: {minutes:2}:{seconds:02} {},{}: {line}", contender.name, scenario.name());
                results.add(&scenario.name(), contender.name, run);
            }
        }
        write(&results, &options.out)?;
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    eprintln!("bench: {minutes:.1} minutes; {}/results.md, results.json and pictures", options.out.display());
    Ok(())
}

/// Those that were asked for, or all.
fn scenarios(extent: &Extent, options: &Options) -> anyhow::Result<Vec<Scenario>> {
    let names: Vec<&String> = options.scenarios.iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Ok(Scenario::all().into_iter().filter(|scenario| !(extent.quick && scenario.is_long())).collect());
    }
    let of = |name: &String| Scenario::of(name).with_context(|| format!("no scenario {name}: see --list"));
    names.into_iter().map(of).collect()
}

fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    let json = folder.join("results.json");
    std::fs::write(&json, serde_json::to_vec_pretty(results)?).with_context(|| json.display().to_string())?;
    let markdown = folder.join("results.md");
    std::fs::write(&markdown, report::markdown(results)).with_context(|| markdown.display().to_string())?;
    for (name, picture) in plot::all(results) {
        std::fs::write(folder.join(name), picture).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// What the figures depend on.
fn machine() -> std::collections::BTreeMap<String, String> {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let processor = || {
        let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?.1;
        Some(format!("{} × {model}", info.lines().filter(|line| line.starts_with("processor")).count()))
    };
    let kernel = || Some(std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim_end().to_owned());
    [
        ("processors", processor()),
        ("kernel", kernel()),
        ("Redis", first_line("redis-server", "--version")),
        ("Node.js", first_line("node", "--version")),
    ]
    .into_iter()
    .map(|(what, value)| (what.to_owned(), value.unwrap_or_else(|| "unknown".to_owned())))
    .collect()
}
