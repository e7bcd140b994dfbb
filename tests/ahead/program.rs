//! Random programs: plays whose result is the same however fast each host is, so that any difference between
//! running ahead and one by one is the executor's.
//!
//! What one task does on one host must not be seen by the same task on another (Ansible itself leaves that to
//! chance), so whatever reaches beyond its host is done by one host alone.

use std::fmt::Write as _;
use std::path::Path;

use crate::chance::Chance;

#[derive(Debug, Clone)]
pub struct Program {
    pub hosts: usize,
    pub plays: Vec<Play>,
    pub check: bool,
    pub forks: usize,
    pub tags: Vec<String>,
    pub force_handlers: bool,
    /// Some play is `free`: only what a host does by itself is compared.
    pub free: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Play {
    pub keywords: Vec<String>,
    pub pre: Vec<Node>,
    pub tasks: Vec<Node>,
    pub handlers: Vec<Node>,
}

#[derive(Debug, Clone)]
pub enum Node {
    /// The lines below `- name: …`; the first says what to do.
    Task { name: String, lines: Vec<String> },
    Block {
        lines: Vec<String>,
        body: Vec<Node>,
        rescue: Vec<Node>,
        always: Vec<Node>,
    },
    Include {
        kind: Kind,
        name: String,
        file: String,
        lines: Vec<String>,
        body: Vec<Node>,
    },
}

/// How tasks are brought from another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    IncludeTasks,
    ImportTasks,
    IncludeRole,
    ImportRole,
}

impl Kind {
    fn is_static(self) -> bool {
        matches!(self, Self::ImportTasks | Self::ImportRole)
    }

    /// The line that brings what is called so.
    fn line(self, name: &str) -> String {
        match self {
            Self::IncludeTasks => format!("include_tasks: {name}.yml"),
            Self::ImportTasks => format!("import_tasks: {name}.yml"),
            Self::IncludeRole => format!("include_role: {{name: {name}}}"),
            Self::ImportRole => format!("import_role: {{name: {name}}}"),
        }
    }

    fn file(self, name: &str) -> String {
        match self {
            Self::IncludeTasks | Self::ImportTasks => format!("{name}.yml"),
            Self::IncludeRole | Self::ImportRole => format!("roles/{name}/tasks/main.yml"),
        }
    }
}

struct Maker {
    chance: Chance,
    next: usize,
    hosts: usize,
    free: bool,
    /// Names of the handlers of this play.
    handlers: Vec<String>,
    /// How many of what takes long there may still be.
    naps: usize,
    depth: usize,
    /// The file and the register that were spoken of last: what comes next often has to do with them.
    last_path: String,
    last_register: String,
}

pub fn generate(seed: u64) -> Program {
    let mut chance = Chance::new(seed);
    let hosts = [1, 1, 2, 2, 3, 4][usize::try_from(chance.below(6)).unwrap()];
    let free = chance.one_in(6);
    let plays = chance.below(3) / 2 + 1;
    let check = chance.one_in(12);
    let forks = if chance.one_in(4) {
        1 + usize::try_from(chance.below(3)).unwrap()
    } else {
        50
    };
    let tags = if chance.one_in(12) {
        vec![chance.pick(&["red", "blue", "all", "never"]).to_string()]
    } else {
        Vec::new()
    };
    let force_handlers = chance.one_in(10);
    let mut maker = Maker {
        chance,
        next: 0,
        hosts,
        free,
        handlers: Vec::new(),
        naps: 2,
        depth: 0,
        last_path: "/a".to_string(),
        last_register: "r0".to_string(),
    };
    Program {
        hosts,
        plays: (0..plays).map(|_| maker.play()).collect(),
        check,
        forks,
        tags,
        force_handlers,
        free,
    }
}

impl Maker {
    fn one_in(&mut self, n: u64) -> bool {
        self.chance.one_in(n)
    }

    fn pick(&mut self, of: &[&str]) -> String {
        self.chance.pick(of).to_string()
    }

    fn play(&mut self) -> Play {
        let mut play = Play::default();
        let hosts = if self.one_in(5) && self.hosts > 1 {
            format!("hosts: h1,h{}", self.hosts)
        } else {
            "hosts: all".to_string()
        };
        play.keywords.push(hosts);
        if self.free {
            let strategy = self.pick(&["strategy: free", "strategy: host_pinned"]);
            play.keywords.push(strategy);
        } else {
            if self.one_in(6) {
                let serial = self.pick(&["serial: 1", "serial: 2", "serial: [1, 2]", "serial: 50%"]);
                play.keywords.push(serial);
            }
            if self.one_in(8) {
                play.keywords.push("any_errors_fatal: true".to_string());
            }
            if self.one_in(12) {
                play.keywords.push("max_fail_percentage: 30".to_string());
            }
        }
        if self.one_in(4) {
            // Registers and facts may be called so too; nothing that reads another host may.
            let (zero, one) = (self.own_template(), self.own_template());
            play.keywords.push(format!(
                "vars: {{lazy0: \"{{{{ {zero} }}}}\", lazy1: \"{{{{ {one} }}}}\"}}"
            ));
        }
        if self.one_in(14) {
            let order = self.pick(&["reverse_inventory", "sorted"]);
            play.keywords.push(format!("order: {order}"));
        }
        let handlers = self.chance.below(4);
        self.handlers = (0..handlers).map(|n| format!("H{n}")).collect();
        for n in 0..handlers {
            let mut handler = self.simple();
            while matches!(&handler, Node::Task { lines, .. } if lines[0] == "meta: flush_handlers") {
                handler = self.simple();
            }
            if let Node::Task { name, lines } = &mut handler {
                *name = format!("H{n}");
                if self.one_in(4) {
                    lines.push("listen: all of them".to_string());
                }
            }
            play.handlers.push(handler);
        }
        if self.one_in(6) {
            play.pre = self.nodes(3);
        }
        // Many small programs find more than few large ones.
        let most = if self.one_in(6) { 14 } else { 6 };
        let count = 2 + self.chance.below(most);
        play.tasks = self.nodes(count);
        play
    }

    fn nodes(&mut self, count: u64) -> Vec<Node> {
        let mut all = Vec::new();
        for _ in 0..count {
            if !self.free && self.naps > 0 && self.depth < 2 && self.one_in(16) {
                all.extend(self.waiting());
            } else if !self.free && self.depth < 2 && self.one_in(20) {
                all.extend(self.writing_here());
            } else {
                all.push(self.node());
            }
        }
        all
    }

    /// A task writes a file of the project that a later one brings, or includes.
    fn writing_here(&mut self) -> Vec<Node> {
        self.next += 3;
        let (path, name) = (self.path(), format!("i{}", self.next));
        let task = |n: usize, lines: &[&str]| Node::Task {
            name: format!("t{}", self.next - n),
            lines: lines.iter().map(ToString::to_string).collect(),
        };
        let see = task(2, &["see: {path: /d}", "register: r2"]);
        if self.chance.below(2) == 0 {
            let writes = task(1, &["do: {script: project files/f.txt H}", "run_once: true"]);
            let bring = task(0, &[&format!("bring: {{src: f.txt, plain: true, dest: {path}}}")]);
            return vec![writes, see, bring];
        }
        let text = format!("do: {{script: \"project {name}.yml - put: {{path: {path}, content: new}}\"}}");
        let writes = task(1, &[&text, "run_once: true"]);
        let include = Node::Include {
            kind: Kind::IncludeTasks,
            file: Kind::IncludeTasks.file(&name),
            name,
            lines: Vec::new(),
            body: vec![see.clone()],
        };
        vec![writes, see, include]
    }

    /// The world changes while one host waits where the others do not come by: they stand behind it and look.
    fn waiting(&mut self) -> Vec<Node> {
        self.naps -= 1;
        let (who, waits, path) = (self.host(), self.host(), self.path());
        let mut task = |lines: &[&str]| {
            self.next += 1;
            Node::Task {
                name: format!("t{}", self.next),
                lines: lines.iter().map(ToString::to_string).collect(),
            }
        };
        let one = format!("when: inventory_hostname == '{waits}'");
        let later = format!("do: {{script: \"later 5 at {who} write {path} later\"}}");
        let later = task(&[&later, "run_once: true"]);
        let nap = task(&["nap: {seconds: 10}"]);
        let see = task(&[&format!("see: {{path: {path}}}"), "register: r1"]);
        let fails = task(&[
            "fail: {msg: no}",
            &format!("when: inventory_hostname != '{waits}'"),
        ]);
        if self.one_in(2) {
            let body = vec![fails, nap];
            return vec![
                later,
                Node::Block {
                    lines: Vec::new(),
                    body,
                    rescue: vec![see],
                    always: Vec::new(),
                },
            ];
        }
        self.next += 1;
        let name = format!("i{}", self.next);
        let include = Node::Include {
            kind: Kind::IncludeTasks,
            file: Kind::IncludeTasks.file(&name),
            name,
            lines: vec![one],
            body: vec![nap],
        };
        vec![later, include, see]
    }

    fn node(&mut self) -> Node {
        if self.depth < 3 && self.one_in(7) {
            return self.block();
        }
        if self.depth < 2 && self.one_in(10) {
            return self.include();
        }
        self.simple()
    }

    fn block(&mut self) -> Node {
        self.depth += 1;
        let mut lines = Vec::new();
        if self.one_in(4) {
            let condition = self.condition();
            lines.push(format!("when: {condition}"));
        }
        if self.one_in(10) {
            lines.push("ignore_errors: true".to_string());
        }
        if self.one_in(10) && !self.free {
            lines.push("any_errors_fatal: true".to_string());
        }
        if self.one_in(10) {
            let value = self.template();
            lines.push(format!(
                "vars: {{v1: \"{{{{ ({value}) | truncate(8, true, '') }}}}\"}}"
            ));
        }
        let count = 1 + self.chance.below(4);
        let body = self.nodes(count);
        let count = self.chance.below(3);
        let rescue = self.nodes(count);
        let count = self.chance.below(3);
        let always = self.nodes(count);
        self.depth -= 1;
        Node::Block {
            lines,
            body,
            rescue,
            always,
        }
    }

    fn include(&mut self) -> Node {
        self.depth += 1;
        self.next += 1;
        let name = format!("i{}", self.next);
        let kind = match self.chance.below(8) {
            0 => Kind::ImportTasks,
            1 => Kind::ImportRole,
            2 | 3 => Kind::IncludeRole,
            _ => Kind::IncludeTasks,
        };
        let mut lines = Vec::new();
        if self.one_in(3) && !kind.is_static() {
            let list = self.list();
            lines.push(format!("loop: {list}"));
        }
        if self.one_in(4) {
            let condition = self.condition();
            lines.push(format!("when: {condition}"));
        }
        if self.one_in(4) {
            let value = self.template();
            lines.push(format!(
                "vars: {{v1: \"{{{{ ({value}) | truncate(8, true, '') }}}}\"}}"
            ));
        }
        if self.one_in(4) && !kind.is_static() {
            let name = self.register();
            lines.push(format!("register: {name}"));
        }
        let count = self.chance.below(4);
        let body = self.nodes(count);
        self.depth -= 1;
        Node::Include {
            kind,
            file: kind.file(&name),
            name,
            lines,
            body,
        }
    }

    fn register(&mut self) -> String {
        if self.one_in(2) {
            return self.last_register.clone();
        }
        self.last_register = format!("r{}", self.chance.below(4));
        self.last_register.clone()
    }

    fn path(&mut self) -> String {
        if self.one_in(2) {
            return self.last_path.clone();
        }
        self.last_path = self.pick(&["/a", "/b", "/c", "/d"]);
        self.last_path.clone()
    }

    fn host(&mut self) -> String {
        let n = self.chance.below(u64::try_from(self.hosts).unwrap()) + 1;
        format!("h{n}")
    }

    fn template(&mut self) -> String {
        let register = self.register();
        let fact = self.chance.below(4);
        let host = self.host();
        let choice = self.chance.below(if self.free { 13 } else { 24 });
        match choice {
            0 => format!("{register}.content | default('-')"),
            1 => format!("{register}.stdout | default('-')"),
            2 => format!("{register}.rc | default(7)"),
            3 => format!("{register}.failed | default('unset')"),
            4 => format!("{register}.results | default([]) | length"),
            5 | 6 => format!("f{fact} | default('-')"),
            7 => format!("ansible_g{fact} | default('-')"),
            8 => "ansible_failed_task.name | default('-')".to_string(),
            9 => "v1 | default('-')".to_string(),
            10 => format!("lazy{fact} | default('-')"),
            11 => "v2 | default('-')".to_string(),
            12 => "ansible_failed_result.msg | default('-')".to_string(),
            13 => format!("hostvars['{host}'].f{fact} | default('-')"),
            14 => format!("hostvars['{host}'].{register}.stdout | default('-')"),
            15 => format!("hostvars['{host}'].{register}.changed | default('-')"),
            16 => format!("hostvars['{host}'].ansible_g{fact} | default('-')"),
            17 => format!("hostvars['{host}'].{register}.content | default('-')"),
            18 => format!("hostvars['{host}'].{register}.skipped | default('-')"),
            19 => format!("hostvars['{host}'].lazy{} | default('-')", 2 + fact % 2),
            20 => format!("hostvars['{host}'].{register} is defined"),
            21 => "ansible_play_hosts | join('')".to_string(),
            22 => "ansible_play_batch | length".to_string(),
            _ => format!("hostvars['{host}'].ansible_failed_task.name | default('-')"),
        }
    }

    /// Of the host itself.
    fn own_template(&mut self) -> String {
        let (register, fact) = (self.register(), self.chance.below(4));
        match self.chance.below(5) {
            0 => format!("({register}.content | default('-')) | string"),
            1 => format!("({register}.stdout | default('-')) | string"),
            2 => format!("f{fact} | default('-')"),
            3 => format!("ansible_g{fact} | default('-')"),
            _ => format!("({register} is defined) | string"),
        }
    }

    /// A value as YAML, never long.
    fn value(&mut self) -> String {
        match self.chance.below(3) {
            0 => self.pick(&["a", "b", "c", "x", "yes"]),
            1 => {
                let template = self.template();
                format!("\"{{{{ ({template}) | string | truncate(8, true, '') }}}}\"")
            }
            _ => {
                let (one, two) = (self.template(), self.template());
                format!("\"{{{{ (({one}) | string ~ ({two})) | truncate(8, true, '') }}}}\"")
            }
        }
    }

    fn condition(&mut self) -> String {
        let register = self.register();
        let fact = self.chance.below(4);
        match self.chance.below(12) {
            0 => format!("{register} is defined"),
            1 => format!("{register} is defined and {register} is changed"),
            2 => format!("{register} is defined and {register} is not failed"),
            3 => format!("{register}.skipped | default(false)"),
            4 => format!("f{fact} is defined"),
            5 => format!("f{fact} | default('x') == 'x'"),
            6 => format!("{register}.content | default('a') != 'b'"),
            7 => format!("not (ansible_g{fact} is defined)"),
            8 => {
                let host = self.host();
                format!("inventory_hostname == '{host}'")
            }
            9 => {
                let (one, two) = (self.template(), self.template());
                format!("\"({one}) | string != ({two}) | string\"")
            }
            10 => format!("{register} is failed"),
            _ => "true".to_string(),
        }
    }

    fn list(&mut self) -> String {
        let register = self.register();
        match self.chance.below(6) {
            0 => "[]".to_string(),
            1 => "[a]".to_string(),
            2 | 3 => "[a, b, c]".to_string(),
            4 => {
                let (one, two) = (self.value(), self.value());
                format!("[{one}, {two}]")
            }
            _ => format!(
                "\"{{{{ {register}.results | default([1, 2]) | map('string') | map('truncate', 8, true, '') | list }}}}\""
            ),
        }
    }

    /// One task without others in it.
    fn simple(&mut self) -> Node {
        self.next += 1;
        let name = format!("t{}", self.next);
        let mut lines = Vec::new();
        let single = !self.free && self.one_in(5);
        let kind = self.chance.below(27);
        let mut looped = self.one_in(5);
        let mut tried = false;
        let mut alone = false;
        match kind {
            0..=4 => {
                let path = self.seen_path();
                let more = self.pick(&["", "", ", then: true", ", now: true"]);
                lines.push(format!("see: {{path: {path}{more}}}"));
                tried = true;
            }
            5..=9 => lines.push(self.put()),
            10..=13 => {
                lines.push(self.script(single, &name));
                alone = true;
                tried = true;
            }
            14..=15 => {
                lines.push(self.set_fact());
                looped |= self.one_in(3);
            }
            16 => {
                let (n, path) = (self.chance.below(4), self.path());
                lines.push(format!("gather: {{path: {path}, name: g{n}}}"));
            }
            17 => {
                let (path, value) = (self.path(), self.value());
                lines.push(format!("render: {{path: {path}, value: {value}}}"));
            }
            18 | 24 | 25 => {
                let value = self.value();
                lines.push(format!("debug: {{msg: {value}}}"));
            }
            19 => {
                if self.one_in(2) {
                    let condition = self.condition().trim_matches('"').to_string();
                    lines.push(format!("assert: {{that: \"{condition}\"}}"));
                } else {
                    lines.push("fail: {msg: no}".to_string());
                }
            }
            20 => return self.meta(name),
            26 => {
                let fact = self.chance.below(4);
                lines.push(format!(
                    "debug: {{msg: \"{{{{ ansible_g{fact} | default('-') }}}}\"}}"
                ));
            }
            21 if self.naps > 0 => {
                self.naps -= 1;
                lines.push("nap: {seconds: 10}".to_string());
                looped = false;
            }
            22 => {
                let path = self.path();
                let which = self.pick(&["src: t.j2", "src: f.txt, plain: true"]);
                lines.push(format!("bring: {{{which}, dest: {path}}}"));
            }
            _ => {
                // A path that only another register knows.
                let register = self.register();
                lines.push(format!(
                    "see: {{path: \"/{{{{ {register}.content | default('a') }}}}\"}}"
                ));
            }
        }
        self.decorate(&mut lines, looped, tried);
        if alone && lines[0].contains("//") {
            // Does something beyond its host.
            lines[0] = lines[0].replace("//", "");
            self.single(&mut lines);
        } else if single {
            self.single(&mut lines);
            self.delegate(&mut lines);
        }
        Node::Task { name, lines }
    }

    fn put(&mut self) -> String {
        let (path, value) = (self.path(), self.value());
        let more = self.pick(&[
            "",
            "",
            ", quietly: true",
            ", again: true",
            ", and: /d",
            ", and: /a, again: true",
        ]);
        format!("put: {{path: {path}, content: {value}{more}}}")
    }

    fn set_fact(&mut self) -> String {
        let (n, value) = (self.chance.below(4), self.value());
        let value = if self.one_in(3) {
            format!(
                "\"{{{{ (f{n} | default('') ~ (item | default('y')) | string) | truncate(8, true, '') }}}}\""
            )
        } else {
            value
        };
        format!("set_fact: {{f{n}: {value}}}")
    }

    fn delegate(&mut self, lines: &mut Vec<String>) {
        if self.one_in(2) {
            return;
        }
        let host = self.host();
        let condition = self.condition().trim_matches('"').to_string();
        lines.push(match self.chance.below(4) {
            0 => format!("delegate_to: \"{{{{ '{host}' if ({condition}) else 'h1' }}}}\""),
            _ => format!("delegate_to: {host}"),
        });
        if self.one_in(2) {
            lines.push("delegate_facts: true".to_string());
        }
    }

    fn seen_path(&mut self) -> String {
        if !self.free && self.one_in(3) {
            return self.pick(&["/shared/x", "/shared/y"]);
        }
        self.path()
    }

    /// What it does; with `//` in it, it reaches other hosts.
    fn script(&mut self, single: bool, name: &str) -> String {
        let path = self.path();
        let value = self.pick(&[
            "a",
            "b",
            "{{ f0 | default('c') }}",
            "{{ item | default('d') }}",
            "{{ r1.content | default('e') }}",
        ]);
        let status = self.chance.below(2);
        let line = match self.chance.below(if self.free { 8 } else { 14 }) {
            0 => format!("write {path} {value}"),
            1 | 2 => format!("append {path} {value}"),
            3 => format!("bump {path}"),
            4 => format!("remove {path}"),
            5 => format!("fail {status}"),
            6 => format!("show {path}"),
            7 => format!("say {value}"),
            8 => format!("//write /shared/x {value}"),
            9 => "//bump /shared/y".to_string(),
            10 => {
                let host = self.host();
                format!("//at {host} write {path} {value}")
            }
            11 => {
                let host = self.host();
                format!("//at {host} bump {path}")
            }
            12 if self.one_in(4) => {
                let file = self.pick(&[
                    "files/f.txt G",
                    "templates/t.j2 U{{ f1 | default('-') }}",
                    "files/f.txt FF",
                ]);
                // The words of a template are not to be rendered on the way.
                format!(
                    "//project {}",
                    file.replace("{{", "{% raw %}{{").replace("}}", "}}{% endraw %}")
                )
            }
            12 if self.one_in(3) => {
                let host = self.host();
                format!("//unplug {host}")
            }
            12 => {
                let host = self.host();
                format!("//plug {host}")
            }
            _ => {
                let (host, what) = (self.host(), self.host());
                match self.chance.below(6) {
                    0 => format!("//later 5 plug {what}"),
                    1 => format!("//later 5 unplug {what}"),
                    _ => format!("//later 5 at {host} write {path} z"),
                }
            }
        };
        let _ = single;
        let creates = if self.one_in(5) {
            self.path()
        } else {
            String::new()
        };
        let creates = if creates.is_empty() {
            creates
        } else {
            format!(", creates: {creates}")
        };
        format!("do: {{script: \"{line}\"{creates}}} # {name}")
    }

    fn meta(&mut self, name: String) -> Node {
        let metas: &[&str] = if self.free {
            &[
                "flush_handlers",
                "noop",
                "end_host",
                "end_role",
                "reset_connection",
            ]
        } else {
            &[
                "flush_handlers",
                "flush_handlers",
                "noop",
                "end_host",
                "end_play",
                "clear_facts",
                "end_batch",
                "clear_host_errors",
                "end_role",
                "reset_connection",
            ]
        };
        let which = self.pick(metas);
        let mut lines = vec![format!("meta: {which}")];
        if which != "flush_handlers" {
            let condition = self.condition();
            lines.push(format!("when: {condition}"));
        }
        Node::Task { name, lines }
    }

    fn decorate(&mut self, lines: &mut Vec<String>, looped: bool, tried: bool) {
        let own = self.register();
        let mut registered = false;
        if self.one_in(2) {
            lines.push(format!("register: {own}"));
            registered = true;
        }
        let sets_fact = lines[0].starts_with("set_fact");
        if looped {
            let list = self.list();
            lines.push(format!("loop: {list}"));
            match self.chance.below(24) {
                0..=2 => {
                    let template = self.template();
                    lines.push(format!("loop_control: {{label: \"{{{{ {template} }}}}\"}}"));
                }
                3..=5 => lines.push("loop_control: {index_var: v1, extended: true}".to_string()),
                6 if self.naps > 0 => {
                    self.naps -= 1;
                    lines.push("loop_control: {pause: 10}".to_string());
                }
                _ => {}
            }
        }
        if self.one_in(4) {
            let condition = self.condition();
            lines.push(format!("when: {condition}"));
        }
        if self.one_in(8) {
            let condition = if registered {
                self.judgement(&own)
            } else {
                self.condition()
            };
            lines.push(format!("changed_when: {condition}"));
        }
        if self.one_in(9) {
            let condition = if registered {
                self.judgement(&own)
            } else {
                self.condition()
            };
            lines.push(format!("failed_when: {condition}"));
        }
        if self.one_in(7) {
            lines.push("ignore_errors: true".to_string());
        }
        if self.one_in(12) {
            let value = self.value();
            lines.push(format!("vars: {{v1: {value}}}"));
        }
        if self.one_in(14) {
            lines.push("check_mode: true".to_string());
        }
        self.surround(lines);
        if self.one_in(14) {
            let tag = self.pick(&["red", "blue", "always", "never"]);
            lines.push(format!("tags: {tag}"));
        }
        if self.one_in(3) && !self.handlers.is_empty() {
            let n = usize::try_from(self.chance.below(u64::try_from(self.handlers.len()).unwrap())).unwrap();
            let handler = self.handlers[n].clone();
            let handler = match self.chance.below(10) {
                0 | 1 => "all of them".to_string(),
                2 => {
                    let condition = self.condition().trim_matches('"').to_string();
                    format!("\"{{{{ '{handler}' if ({condition}) else 'H0' }}}}\"")
                }
                3 => format!("[H0, {handler}]"),
                _ => handler,
            };
            lines.push(format!("notify: {handler}"));
        }
        if tried && registered && self.naps > 0 && self.one_in(6) {
            self.naps -= 1;
            let condition = self.judgement(&own);
            lines.push(format!("until: {condition}"));
            lines.push("retries: 2".to_string());
            lines.push("delay: 10".to_string());
        } else if tried && self.naps > 0 && self.one_in(14) {
            self.naps -= 1;
            lines.push("retries: 1".to_string());
            lines.push("delay: 10".to_string());
        }
        // A task must not read from others what it does itself, nor look at them when it is through, when some
        // of them are and others are not: that would be a race in Ansible too.
        let sets = registered || sets_fact || lines[0].starts_with("gather");
        for line in lines.iter_mut() {
            let late = ["changed_when", "failed_when", "until", "loop_control", "notify"]
                .iter()
                .any(|k| line.starts_with(k));
            if sets || late || line.contains("failed_task") {
                for host in ["h1", "h2", "h3", "h4"] {
                    *line = line.replace(&format!("hostvars['{host}']."), "");
                }
            }
        }
    }

    /// Keywords that say who does it, where, and what is shown of it.
    fn surround(&mut self, lines: &mut Vec<String>) {
        if self.one_in(8) {
            lines.push("become: true".to_string());
            if self.one_in(2) {
                let user = self.pick(&[
                    "u1",
                    "\"{{ f1 | default('u2') }}\"",
                    "\"{{ r1.stdout | default('u1', true) }}\"",
                ]);
                lines.push(format!("become_user: {user}"));
            }
        }
        if self.one_in(14) {
            let value = self.value();
            lines.push(format!("environment: {{E: {value}}}"));
        }
        if self.one_in(16) {
            lines.push("no_log: true".to_string());
        }
        if self.one_in(12) {
            lines.push("ignore_unreachable: true".to_string());
        }
        if self.one_in(20) {
            lines.push("connection: local".to_string());
        }
        if self.one_in(14) && !self.free {
            let most = self.chance.below(3);
            lines.push(format!("throttle: {most}"));
        }
    }

    fn judgement(&mut self, register: &str) -> String {
        match self.chance.below(6) {
            0 => format!("{register}.content | default('a') == 'z'"),
            1 => format!("{register}.stdout | default('a') == 'a'"),
            2 => format!("{register} is changed"),
            3 => format!("{register} is failed"),
            4 => format!("{register}.there | default(false)"),
            _ => self.condition(),
        }
    }

    /// Lets only one host do it.
    fn single(&mut self, lines: &mut Vec<String>) {
        if self.one_in(3) {
            lines.push("run_once: true".to_string());
            return;
        }
        let host = self.host();
        match lines.iter_mut().find(|l| l.starts_with("when: ")) {
            Some(line) => {
                let condition = line["when: ".len()..].trim_matches('"').to_string();
                *line = format!("when: \"inventory_hostname == '{host}' and ({condition})\"");
            }
            None => lines.push(format!("when: inventory_hostname == '{host}'")),
        }
    }
}

// ---- as text -----------------------------------------------------------------------------------------------

impl Program {
    /// Writes the playbook and its files into a folder.
    pub fn write(&self, folder: &Path) {
        let mut text = String::new();
        for (n, play) in self.plays.iter().enumerate() {
            let _ = writeln!(text, "- name: play {n}");
            for keyword in &play.keywords {
                let _ = writeln!(text, "  {keyword}");
            }
            text.push_str("  gather_facts: false\n");
            for (section, nodes) in [
                ("pre_tasks", &play.pre),
                ("tasks", &play.tasks),
                ("handlers", &play.handlers),
            ] {
                if !nodes.is_empty() {
                    let _ = writeln!(text, "  {section}:");
                    list(nodes, 4, &mut text, folder);
                }
            }
        }
        std::fs::write(folder.join("play.yml"), text).unwrap();
        for (path, content) in [
            (
                "templates/t.j2",
                "T {{ f1 | default('-') }} {{ (r1.content | default('-')) | string | truncate(6, true, '') }}\n",
            ),
            ("files/f.txt", "F\n"),
            // Variables whose value is what others have by then.
            (
                "group_vars/all.yml",
                "lazy2: \"{{ f2 | default('n') }}\"\nlazy3: \"{{ (r3.content | default('m')) | string }}\"\n",
            ),
        ] {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), content).unwrap();
        }
    }

    /// The text of all files, for people.
    pub fn shown(&self, folder: &Path) -> String {
        self.write(folder);
        let mut text = format!(
            "hosts={} check={} forks={} tags={:?} force_handlers={} free={}\n",
            self.hosts, self.check, self.forks, self.tags, self.force_handlers, self.free
        );
        text.push_str(&std::fs::read_to_string(folder.join("play.yml")).unwrap());
        let mut files = Vec::new();
        for play in &self.plays {
            for nodes in [&play.pre, &play.tasks, &play.handlers] {
                includes(nodes, &mut files);
            }
        }
        for file in files {
            let _ = writeln!(
                text,
                "# {file}\n{}",
                std::fs::read_to_string(folder.join(&file)).unwrap()
            );
        }
        text
    }

    /// Programs with a little less in them.
    pub fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut copy = self.clone();
            change(&mut copy);
            all.push(copy);
        };
        if self.plays.len() > 1 {
            for n in 0..self.plays.len() {
                push(&|p| drop(p.plays.remove(n)));
            }
        }
        for n in 0..self.plays.len() {
            for (section, nodes) in [
                (0, &self.plays[n].pre),
                (1, &self.plays[n].tasks),
                (2, &self.plays[n].handlers),
            ] {
                // Halves first.
                if nodes.len() > 3 {
                    let half = nodes.len() / 2;
                    push(&|p| drop(p.section(n, section).drain(..half)));
                    push(&|p| drop(p.section(n, section).drain(half..)));
                }
                for smaller in smaller_lists(nodes) {
                    push(&|p| p.section(n, section).clone_from(&smaller));
                }
            }
            for k in 1..self.plays[n].keywords.len() {
                push(&|p| drop(p.plays[n].keywords.remove(k)));
            }
        }
        if self.hosts > 1 {
            push(&|p| p.hosts -= 1);
        }
        if self.check {
            push(&|p| p.check = false);
        }
        if self.forks < 50 {
            push(&|p| p.forks = 50);
        }
        if !self.tags.is_empty() {
            push(&|p| p.tags.clear());
        }
        if self.force_handlers {
            push(&|p| p.force_handlers = false);
        }
        all
    }

    fn section(&mut self, play: usize, section: usize) -> &mut Vec<Node> {
        let play = &mut self.plays[play];
        match section {
            0 => &mut play.pre,
            1 => &mut play.tasks,
            _ => &mut play.handlers,
        }
    }
}

fn smaller_lists(nodes: &[Node]) -> Vec<Vec<Node>> {
    let mut all = Vec::new();
    for n in 0..nodes.len() {
        let mut without = nodes.to_vec();
        let removed = without.remove(n);
        all.push(without.clone());
        let mut replace = |with: Vec<Node>| {
            let mut copy = without.clone();
            copy.splice(n..n, with);
            all.push(copy);
        };
        match removed {
            Node::Task { name, lines } => {
                for k in 1..lines.len() {
                    let mut fewer = lines.clone();
                    fewer.remove(k);
                    replace(vec![Node::Task {
                        name: name.clone(),
                        lines: fewer,
                    }]);
                }
            }
            Node::Include {
                kind,
                name,
                file,
                lines,
                body,
            } => {
                replace(body.clone());
                for smaller in smaller_lists(&body) {
                    replace(vec![Node::Include {
                        kind,
                        name: name.clone(),
                        file: file.clone(),
                        lines: lines.clone(),
                        body: smaller,
                    }]);
                }
                for k in 0..lines.len() {
                    let mut fewer = lines.clone();
                    fewer.remove(k);
                    replace(vec![Node::Include {
                        kind,
                        name: name.clone(),
                        file: file.clone(),
                        lines: fewer,
                        body: body.clone(),
                    }]);
                }
            }
            Node::Block {
                lines,
                body,
                rescue,
                always,
            } => {
                replace(body.clone());
                let block = |lines: &Vec<String>, body: Vec<Node>, rescue: Vec<Node>, always: Vec<Node>| {
                    Node::Block {
                        lines: lines.clone(),
                        body,
                        rescue,
                        always,
                    }
                };
                for smaller in smaller_lists(&body).into_iter().filter(|b| !b.is_empty()) {
                    replace(vec![block(&lines, smaller, rescue.clone(), always.clone())]);
                }
                for smaller in smaller_lists(&rescue) {
                    replace(vec![block(&lines, body.clone(), smaller, always.clone())]);
                }
                for smaller in smaller_lists(&always) {
                    replace(vec![block(&lines, body.clone(), rescue.clone(), smaller)]);
                }
                for k in 0..lines.len() {
                    let mut fewer = lines.clone();
                    fewer.remove(k);
                    replace(vec![block(&fewer, body.clone(), rescue.clone(), always.clone())]);
                }
            }
        }
    }
    all
}

fn includes(nodes: &[Node], files: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Include { file, body, .. } => {
                files.push(file.clone());
                includes(body, files);
            }
            Node::Block {
                body, rescue, always, ..
            } => {
                for nodes in [body, rescue, always] {
                    includes(nodes, files);
                }
            }
            Node::Task { .. } => {}
        }
    }
}

fn list(nodes: &[Node], indent: usize, text: &mut String, folder: &Path) {
    let pad = " ".repeat(indent);
    for node in nodes {
        match node {
            Node::Task { name, lines } => {
                let _ = writeln!(text, "{pad}- name: {name}");
                for line in lines {
                    let _ = writeln!(text, "{pad}  {line}");
                }
            }
            Node::Include {
                kind,
                name,
                file,
                lines,
                body,
            } => {
                let _ = writeln!(text, "{pad}- name: {name}\n{pad}  {}", kind.line(name));
                for line in lines {
                    let _ = writeln!(text, "{pad}  {line}");
                }
                let mut inner = String::new();
                list(body, 0, &mut inner, folder);
                let path = folder.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, inner).unwrap();
                if matches!(kind, Kind::IncludeRole | Kind::ImportRole) {
                    let defaults = folder.join(format!("roles/{name}/defaults"));
                    std::fs::create_dir_all(&defaults).unwrap();
                    std::fs::write(defaults.join("main.yml"), format!("v2: {name}\n")).unwrap();
                }
            }
            Node::Block {
                lines,
                body,
                rescue,
                always,
            } => {
                let _ = writeln!(text, "{pad}- name: block");
                for line in lines {
                    let _ = writeln!(text, "{pad}  {line}");
                }
                for (section, nodes) in [("block", body), ("rescue", rescue), ("always", always)] {
                    if !nodes.is_empty() || section == "block" {
                        let _ = writeln!(
                            text,
                            "{pad}  {section}:{}",
                            if nodes.is_empty() { " []" } else { "" }
                        );
                        list(nodes, indent + 4, text, folder);
                    }
                }
            }
        }
    }
}
