//! The keywords of `ssh_config`: which are honoured, which have no meaning here, which are missing.

/// What a keyword is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Used,
    /// It would do something in `ssh` that is not done here: the user is told.
    Missing,
    /// It changes nothing that could be seen here.
    Idle,
    Unknown,
}

/// `keyword` in lower case.
pub(super) fn meaning(keyword: &str) -> Meaning {
    if USED.contains(&keyword) {
        return Meaning::Used;
    }
    if MISSING.contains(&keyword) {
        return Meaning::Missing;
    }
    if IDLE.contains(&keyword) || keyword.starts_with("gssapi") {
        return Meaning::Idle;
    }
    Meaning::Unknown
}

const USED: &[&str] = &[
    "addressfamily",
    "certificatefile",
    "challengeresponseauthentication",
    "globalknownhostsfile",
    "hashknownhosts",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kbdinteractiveauthentication",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
];

const MISSING: &[&str] = &[
    "bindaddress",
    "bindinterface",
    "casignaturealgorithms",
    "ciphers",
    "forwardagent",
    "hostbasedauthentication",
    "hostkeyalgorithms",
    "kexalgorithms",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "macs",
    "pkcs11provider",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "remotecommand",
    "remoteforward",
    "dynamicforward",
    "revokedhostkeys",
    "securitykeyprovider",
    "setenv",
    "verifyhostkeydns",
];

const IDLE: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "compressionlevel",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "hostbasedacceptedalgorithms",
    "hostbasedkeytypes",
    "ignoreunknown",
    "ipqos",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "permitlocalcommand",
    "permitremoteopen",
    "protocol",
    "proxyusefdpass",
    "rekeylimit",
    "requesttty",
    "requiredrsasize",
    "sendenv",
    "sessiontype",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tag",
    "tcpkeepalive",
    "tunnel",
    "tunneldevice",
    "updatehostkeys",
    "useprivilegedport",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
];
