//! How the source files depend on each other: files and folders import in one direction only, and only `src/lua` knows Lua.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// For each file, by its path below `src` and without `.rs`, the files that it imports from.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the source files by name, each without its tests.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
            if path.is_dir() {
                collect(&path, &format!("{prefix}{name}/"), into);
            } else if let Some(name) = name.strip_suffix(".rs") {
                let text = fs::read_to_string(&path).expect("a text");
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("").to_owned();
                into.insert(format!("{prefix}{name}"), code);
            }
        }
    }
    let mut sources = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    sources
}

/// Returns the paths that a file's `use` lines and qualified names lead to, from the root of the crate.
fn paths(file: &str, code: &str) -> Vec<Vec<String>> {
    // `src/a/mod.rs` is the module `a`; `src/a/b.rs` is `a::b`.
    let mut module: Vec<&str> = file.split('/').filter(|part| !["mod", "lib"].contains(part)).collect();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
    let mut found = Vec::new();
    for (start, names) in [("crate::", 0), ("super::", 1)] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_') {
                continue;
            }
            let mut base: Vec<String> = if names == 0 {
                Vec::new()
            } else {
                module[..module.len() - 1].iter().map(|m| (*m).to_owned()).collect()
            };
            expand(&code[at + start.len()..], &mut base, &mut found);
        }
    }
    // In a `mod.rs`, a path may begin with one of its own modules.
    if file.ends_with("mod") || file == "lib" {
        let children: Vec<_> = code
            .lines()
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
            .collect();
        for line in code.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("use ")) {
            if children.iter().any(|child| line.starts_with(&format!("{child}::"))) {
                let mut base = module.drain(..).map(str::to_owned).collect();
                expand(line, &mut base, &mut found);
                module = file.split('/').filter(|part| *part != "mod").collect();
            }
        }
    }
    found
}

/// Expands a path, with its braces, that continues `base`.
fn expand(path: &str, base: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
    if end > 0 {
        let name = &path[..end];
        if name != "self" {
            base.push(name.to_owned());
        }
        match path[end..].strip_prefix("::") {
            Some(rest) => expand(rest, base, found),
            None => found.push(base.clone()),
        }
        if name != "self" {
            base.pop();
        }
    } else if let Some(inner) = path.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (i, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    expand(inner[start..i].trim(), base, found);
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
}

/// Returns the imports of each file. A path stands for the file that its longest part names.
fn imports(sources: &BTreeMap<String, String>) -> Imports {
    let file_of = |path: &[String]| {
        (1..=path.len()).rev().find_map(|length| {
            let name = path[..length].join("/");
            [name.clone(), format!("{name}/mod")].into_iter().find(|name| sources.contains_key(name))
        })
    };
    let of = |(file, code): (&String, &String)| {
        let files = paths(file, code).iter().filter_map(|path| file_of(path)).filter(|other| other != file).collect();
        (file.clone(), files)
    };
    sources.iter().map(of).collect()
}

/// Returns the imports of each folder; a file beside the folders counts as one.
fn folders(files: &Imports) -> Imports {
    let folder = |file: &str| file.split('/').next().unwrap_or("").to_owned();
    let mut folders = Imports::new();
    for (file, imported) in files {
        let others = imported.iter().map(|other| folder(other)).filter(|other| *other != folder(file));
        folders.entry(folder(file)).or_default().extend(others);
    }
    folders
}

/// Returns a cycle, if there is one.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    fn visit(
        name: &str,
        imports: &Imports,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|on_path| on_path == name) {
            return Some(path[start..].to_vec());
        }
        if !done.contains(name) {
            path.push(name.to_owned());
            let cycle = imports.get(name).into_iter().flatten().find_map(|next| visit(next, imports, path, done));
            if cycle.is_some() {
                return cycle;
            }
            path.pop();
            done.insert(name.to_owned());
        }
        None
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|name| visit(name, imports, &mut Vec::new(), &mut done))
}

#[test]
fn neither_files_nor_folders_import_in_a_cycle() {
    let files = imports(&sources());
    assert!(files.values().map(BTreeSet::len).sum::<usize>() > 150, "the imports are found: {files:?}");
    assert_eq!(cycle(&files), None);
    assert_eq!(cycle(&folders(&files)), None);
}

#[test]
fn the_search_finds_a_cycle() {
    let of = |rows: &[(&str, &str)]| rows.iter().map(|(file, code)| (file.to_string(), code.to_string())).collect();
    for sources in [
        of(&[("a", "use crate::b::B;"), ("b", "use crate::a::A;")]),
        of(&[("a/mod", "mod b;\nuse b::B;"), ("a/b", "use super::A;")]),
        of(&[("a/b", "use super::c::{self, C};"), ("a/c", "fn f() { super::b::g() }")]),
        of(&[("a/mod", "pub use crate::{c::d::D, e::{F, g::G}};"), ("c/d", ""), ("e/g", "use crate::a::A;")]),
    ] {
        assert!(cycle(&imports(&sources)).is_some(), "{sources:?}");
    }
    let apart = of(&[("a/mod", "mod b;"), ("a/b", "use super::A;\n// use crate::c::C;"), ("c", "use crate::a::A;")]);
    assert_eq!(cycle(&imports(&apart)), None);
    let by_folder = of(&[("a/b", "use crate::c::d::D;"), ("c/d", ""), ("c/e", "use crate::a::f::F;"), ("a/f", "")]);
    let files = imports(&by_folder);
    assert!(cycle(&files).is_none() && cycle(&folders(&files)).is_some());
}

/// Only `src/lua` and the folders of the protocols may name a protocol.
#[test]
fn only_src_lua_knows_lua_and_the_protocols() {
    const PROTOCOLS: [&str; 3] = ["xep0357", "push2", "tigase"];
    for (file, imported) in folders(&imports(&sources())) {
        if file != "lua" && !PROTOCOLS.contains(&&*file) && file != "lib" {
            let protocols: Vec<_> = imported.iter().filter(|other| PROTOCOLS.contains(&&***other)).collect();
            assert!(protocols.is_empty(), "{file} imports {protocols:?}");
        }
    }
    for (file, code) in sources() {
        assert!(file.starts_with("lua/") || !code.contains("mlua::"), "{file} knows Lua");
    }
}

/// The picture in `docs/contributing.md` shows each module once, and each module imports only from lines below its own.
#[test]
fn the_picture_of_the_modules_matches_the_imports() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/contributing.md"));
    let document = document.expect("a document");
    let picture = document.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a picture");
    let folders = folders(&imports(&sources()));
    let mut lines = BTreeMap::new();
    for (line, text) in picture.lines().enumerate() {
        // The words after the names describe the modules.
        for name in text.split_whitespace().take_while(|name| folders.contains_key(*name)) {
            assert_eq!(lines.insert(name, line), None, "{name} is there twice");
        }
    }
    for (name, imported) in folders.iter().filter(|(name, _)| *name != "lib") {
        let line = lines.get(&**name).unwrap_or_else(|| panic!("{name} is not in the picture"));
        for other in imported {
            assert!(lines[&**other] > *line, "{name} imports from {other}, which is not below it");
        }
    }
}
