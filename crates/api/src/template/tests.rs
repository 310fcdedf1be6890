//! What templates print, and how they fail.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Size;

fn value() -> Value {
    let labels =
        [("a", "1"), ("b", "x,y")].map(|(key, value)| (key.to_owned(), Value::text(value)));
    let inner = ObjectValue::default().with("Name", Value::text("inner"));
    Value::Object(
        ObjectValue::default()
            .with("Name", Value::text("web"))
            .with("CPUs", Value::Number(2))
            .with("Memory", Value::Size(Size::GIB))
            .with("Running", Value::Bool(true))
            .with("SSH", Value::Nil)
            .with("Label", Value::Map(BTreeMap::from(labels.clone())))
            .with("Labels", Value::Map(BTreeMap::from(labels)))
            .with("List", Value::List(["x", "y", "z"].map(Value::text).into()))
            .with("None", Value::List(Vec::new()))
            .with("Inner", Value::Object(inner)),
    )
}

fn shown(template: &str) -> Result<String, TemplateError> {
    template.parse::<Template>()?.render(&value())
}

fn cases(cases: &[(&str, &str)]) {
    for (template, text) in cases {
        assert_eq!(shown(template).as_deref(), Ok(*text), "{template}");
    }
}

#[test]
fn fields_and_text() {
    cases(&[
        ("", ""),
        ("plain 'text' }}", "plain 'text' }}"),
        ("{{.Name}}", "web"),
        ("{{ .Inner.Name }}!", "inner!"),
        (
            "{{.Memory}} {{.CPUs}} {{.SSH}} {{.Running}}",
            "1024.0 MB 2 <nil> true",
        ),
        ("{{.Labels}}", "map[a:1 b:x,y]"),
        ("{{.Labels.a}} {{.Labels.c}}", "1 <no value>"),
        ("{{.Label \"b\"}}|{{.Label \"c\"}}|", "x,y||"),
        ("{{.List}}", "x, y, z"),
        ("{{.SSH.Anything}}", "<nil>"),
        (r"{{.Name}}\t{{.CPUs}}\n", "web\t2\n"),
        (r#"{{"\t\"\\"}}{{`\t`}}"#, "\t\"\\\\t"),
        ("é{{$.Name}}é", "éwebé"),
    ]);
}

#[test]
fn blanks_and_comments() {
    cases(&[
        ("a {{- .Name -}} b", "awebb"),
        ("a {{/* nothing }} */}} b", "a  b"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("{{-3}} {{- -3}}", "-3-3"),
    ]);
}

#[test]
fn control() {
    cases(&[
        ("{{if .Running}}up{{else}}down{{end}}", "up"),
        ("{{if .SSH}}a{{else if .None}}b{{else}}c{{end}}", "c"),
        ("{{if and .Running (gt .CPUs 1)}}big{{end}}", "big"),
        (
            "{{with .Inner}}{{.Name}} of {{$.Name}}{{end}}",
            "inner of web",
        ),
        (
            "{{with .SSH}}x{{else with .Inner}}{{.Name}}{{end}}",
            "inner",
        ),
        ("{{range .List}}[{{.}}]{{end}}", "[x][y][z]"),
        ("{{range $i, $x := .List}}{{$i}}{{$x}} {{end}}", "0x 1y 2z "),
        (
            "{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}",
            "a=1;b=x,y;",
        ),
        (
            "{{range .None}}x{{else}}none{{end}}{{range .SSH}}x{{end}}",
            "none",
        ),
        (
            "{{range .List}}{{if eq . \"y\"}}{{break}}{{end}}{{.}}{{end}}",
            "x",
        ),
        (
            "{{range .List}}{{if eq . \"y\"}}{{continue}}{{end}}{{.}}{{end}}",
            "xz",
        ),
        ("{{$x := .Name}}{{range .List}}{{$x = .}}{{end}}{{$x}}", "z"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{with $x := .Inner}}{{$x.Name}}{{end}}", "inner"),
    ]);
}

#[test]
fn functions() {
    cases(&[
        ("{{len .List}} {{len .Name}} {{.Labels | len}}", "3 3 2"),
        (
            "{{index .List 1}} {{index .Labels \"b\"}} {{(index .List 0)}}",
            "y x,y x",
        ),
        (
            "{{join .List \"-\"}} {{.List | len | printf \"%03d\"}}",
            "x-y-z 003",
        ),
        (
            "{{printf \"%s|%-5s|%5v|%q|%t|%d%%\" .Name .Name .CPUs .Name .Running .CPUs}}",
            "web|web  |    2|\"web\"|true|2%",
        ),
        ("{{printf \"%.2s\" .Name}}", "we"),
        (
            "{{json .Labels}} {{json .Name}} {{json .List}}",
            r#"{"a":"1","b":"x,y"} "web" ["x","y","z"]"#,
        ),
        (
            "{{eq .Name \"db\" \"web\"}} {{ne .CPUs 2}} {{not .SSH}}",
            "true false true",
        ),
        (
            "{{gt .Memory 1000}} {{lt .Memory \"2GB\"}} {{le \"a\" \"b\"}} {{ge 2 3}}",
            "true true true false",
        ),
        (
            "{{eq .Memory \"1GB\"}}{{eq .SSH nil}}{{eq .SSH \"x\"}}",
            "truetruefalse",
        ),
        ("{{or .SSH .Name}} {{and .SSH .Name}}", "web <nil>"),
        // What comes behind the word that decides is not looked at.
        ("{{and .SSH (index .List 7)}}", "<nil>"),
        ("{{or .Name (index .List 7)}}", "web"),
        (
            "{{upper .Name}} {{\"A\" | lower}} {{print .Name 1}}{{println .Name 2}}",
            "WEB a web1web 2\n",
        ),
        (
            "{{range split \"a:b\" \":\"}}{{.}};{{end}}{{contains .Name \"e\"}}{{contains .List \"e\"}}",
            "a;b;truefalse",
        ),
    ]);
}

/// What is wrong with a template, and what it is told to do.
fn fault(template: &str) -> String {
    let error = shown(template).expect_err(template);
    format!("{error}\n  hint: {}\n", error.hint().unwrap_or_default())
}

#[test]
fn faults_say_where_and_what_to_do() {
    let faults: String = [
        "{{.Nam}}",
        "{{.Inner.Nothing}}",
        "a{{.Name",
        "é{{Name}}",
        "{{lenn .Name}}",
        "{{if .Name}}",
        "{{range .List}}{{else}}{{else}}{{end}}",
        "{{end}}",
        "{{$x}}",
        "{{}}",
        "{{.Name .CPUs}}",
        "{{template \"x\"}}",
        "{{/* }}",
        "{{\"x}}",
        "{{index .List 7}}",
        "{{len .CPUs}}",
        "{{len}}",
        "{{printf \"%d\" .Name}}",
        "{{printf \"%99999d\" 1}}",
        "{{range .Name}}{{end}}",
        "{{break}}",
        "{{1.5}}",
        "{{.Name | .CPUs}}",
    ]
    .map(fault)
    .concat();
    insta::assert_snapshot!(faults);
}

#[test]
fn nothing_takes_long_or_says_too_much() {
    let nested = |depth: usize| {
        let open = "{{range $.List}}".repeat(depth);
        format!("{open}xxxxxxxxxxxxxxxx{}", "{{end}}".repeat(depth))
    };
    let endless = nested(30).replace("xxxxxxxxxxxxxxxx", "");
    assert!(matches!(
        shown(&endless).expect_err("endless").fault,
        TemplateFault::TooManySteps
    ));
    let loud = nested(12).replace("xxxxxxxxxxxxxxxx", &"x".repeat(64));
    assert!(matches!(
        shown(&loud).expect_err("loud").fault,
        TemplateFault::TooMuch
    ));
    assert!(matches!(
        shown(&nested(100)).expect_err("deep").fault,
        TemplateFault::TooDeep
    ));
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(matches!(
        shown(&deep).expect_err("deep").fault,
        TemplateFault::TooDeep
    ));
    let long = "x".repeat(MAX_LENGTH + 1);
    assert!(matches!(
        shown(&long).expect_err("long").fault,
        TemplateFault::TooLong
    ));
    // Each turn makes the text twice as long.
    let doubling = "{{$x := \"0123456789\"}}".to_owned() + &"{{$x = print $x $x}}".repeat(40);
    assert!(matches!(
        shown(&doubling).expect_err("doubling").fault,
        TemplateFault::Call { .. }
    ));
}

#[test]
fn heads_of_tables_are_the_fields_names() {
    let header = |text: &str| text.parse::<Template>().expect("a template").header();
    assert_eq!(
        header(r"{{.Names}}\t{{.Status.Network.IPAddresses}}"),
        "NAMES\tIPADDRESSES"
    );
    assert_eq!(header("{{.RunningFor}} {{len .List}}"), "RUNNING FOR LIST");
    assert_eq!(header("{{json (index .List 0)}}"), "LIST");
}

#[test]
fn braces_end_outside_of_quotes() {
    for (text, length) in [
        ("{{.A}}=b", Some(6)),
        (r#"{{index .L "}}"}}=b"#, Some(17)),
        (r#"{{"\"}}"}}"#, Some(10)),
        ("{{`}}`}}", Some(8)),
        ("{{.A", None),
        ("x", None),
    ] {
        assert_eq!(braces(text), length, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_a_fault(text in ".{0,64}") {
        if let Err(error) = shown(&text) {
            prop_assert!(error.position <= text.chars().count() + 1, "{error}");
            let _ = error.hint();
        }
    }

    #[test]
    fn any_words_are_a_template_or_a_fault(words in prop::collection::vec(
        prop::sample::select(vec![
            "{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", ".", ".Name", ".List", ".Labels",
            "$x", ":=", "=", "|", "len", "print", "printf", "index", "json", "(", ")", "\"%5d\"", "1", " ", ",",
            "break", "join", "split", "eq", "$", "/*", "*/",
        ]), 0..40,
    ), spaced: bool) {
        let text = words.join(if spaced { " " } else { "" });
        match shown(&text) {
            Ok(out) => prop_assert!(out.len() <= MAX_OUTPUT),
            Err(error) => prop_assert!(error.position <= text.chars().count() + 1, "{error}"),
        }
    }
}
