//! Who a program runs as: `user[:group]` of an image against its own `passwd` and `group` files.
//!
//! The C library's look-ups are of no use: they read this program's root, and a static program has
//! none of their plugins. The rules are those of other OCI runtimes.

use thiserror::Error;

/// A user as the kernel knows it, and its home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
}

/// Why there is no such user.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// Not in `passwd`, and no number.
    #[error("there is no user {name:?} in the image's /etc/passwd")]
    User {
        /// The name.
        name: String,
    },
    /// Not in `group`, and no number.
    #[error("there is no group {name:?} in the image's /etc/group")]
    Group {
        /// The name.
        name: String,
    },
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// The user that `wanted` (`user[:group]`, names or numbers, empty for root) means, given the text
/// of `passwd` and `group`. Malformed lines are passed over. A number needs no line. Supplementary
/// groups are looked up only where no group is named.
pub fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<User, Error> {
    let (name, group_name) = match wanted.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name).filter(|name| !name.is_empty())),
        None => (wanted, None),
    };
    let account = find_account(name, passwd)?;
    let mut user = User {
        uid: account.uid,
        gid: account.gid,
        groups: Vec::new(),
        home: "/".into(),
    };
    if !account.home.is_empty() {
        account.home.clone_into(&mut user.home);
    }
    match group_name {
        Some(name) => user.gid = find_group(name, group)?,
        None if !account.name.is_empty() => user.groups = groups_of(account.name, group),
        None => {}
    }
    Ok(user)
}

fn find_account<'a>(wanted: &str, passwd: &'a str) -> Result<Account<'a>, Error> {
    let wanted = if wanted.is_empty() { "0" } else { wanted };
    // Root is root in an image without a passwd file, too.
    let number = match wanted {
        "root" => Some(0),
        other => other.parse::<u32>().ok(),
    };
    accounts(passwd)
        .find(|account| account.name == wanted)
        .or_else(|| accounts(passwd).find(|account| Some(account.uid) == number))
        .or(number.map(|uid| Account {
            name: "",
            uid,
            gid: 0,
            home: default_home(uid),
        }))
        .ok_or_else(|| Error::User {
            name: wanted.to_owned(),
        })
}

/// What `passwd` calls a user; the number where it does not.
pub fn name_of(uid: u32, passwd: &str) -> String {
    let account = accounts(passwd).find(|account| account.uid == uid);
    account.map_or_else(|| uid.to_string(), |account| account.name.to_owned())
}

/// Home of root where `passwd` does not say.
pub const ROOT_HOME: &str = "/root";

/// Home of a user without a line in `passwd`.
fn default_home(uid: u32) -> &'static str {
    if uid == 0 { ROOT_HOME } else { "/" }
}

fn find_group(wanted: &str, group: &str) -> Result<u32, Error> {
    let number = match wanted {
        "root" => Some(0),
        other => other.parse().ok(),
    };
    groups(group)
        .find(|group| group.name == wanted)
        .map(|group| group.gid)
        .or(number)
        .ok_or_else(|| Error::Group {
            name: wanted.to_owned(),
        })
}

fn groups_of(name: &str, group: &str) -> Vec<u32> {
    groups(group)
        .filter(|group| group.members.split(',').any(|member| member.trim() == name))
        .map(|group| group.gid)
        .collect()
}

/// Lines of passwd(5).
fn accounts(text: &str) -> impl Iterator<Item = Account<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let home = fields.nth(1).unwrap_or("");
        Some(Account {
            name,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home,
        })
    })
}

/// Lines of group(5).
fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Group {
            name,
            gid: gid.parse().ok()?,
            members: fields.next().unwrap_or(""),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_no_line() {
        let root = resolve("root:root", "", "").expect("root is always there");
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, ROOT_HOME));
        assert!(resolve("www-data", "", "").is_err());
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken:x\n\
        app:x:1000:1001:App,,,:/srv/app:/bin/sh\nnohome:x:7:7\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\nbroken:x:y:app\napp:x:1001:\n\
        audio:x:29:app, nohome\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> Result<User, Error> {
        Ok(User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        })
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(resolve("", PASSWD, GROUP), user(0, 0, &[10], "/root"));
        assert_eq!(
            resolve("app", PASSWD, GROUP),
            user(1000, 1001, &[10, 29], "/srv/app")
        );
        assert_eq!(
            resolve("1000", PASSWD, GROUP),
            user(1000, 1001, &[10, 29], "/srv/app")
        );
        assert_eq!(resolve("nohome", PASSWD, GROUP), user(7, 7, &[29], "/"));
    }

    #[test]
    fn numbers_have_names_where_there_is_a_line() {
        let names = [1000, 0, 4].map(|uid| name_of(uid, PASSWD));
        assert_eq!(names, ["app", "root", "4"]);
    }

    #[test]
    fn a_named_group_stands_alone() {
        assert_eq!(
            resolve("app:audio", PASSWD, GROUP),
            user(1000, 29, &[], "/srv/app")
        );
        assert_eq!(
            resolve("app:55", PASSWD, GROUP),
            user(1000, 55, &[], "/srv/app")
        );
        assert_eq!(
            resolve("app:", PASSWD, GROUP),
            user(1000, 1001, &[10, 29], "/srv/app")
        );
    }

    #[test]
    fn numbers_need_no_line() {
        assert_eq!(resolve("4242", PASSWD, GROUP), user(4242, 0, &[], "/"));
        assert_eq!(resolve("", "", ""), user(0, 0, &[], "/root"));
    }

    #[test]
    fn unknown_names_are_told() {
        assert_eq!(
            resolve("me", PASSWD, GROUP),
            Err(Error::User { name: "me".into() })
        );
        assert_eq!(
            resolve("app:us", PASSWD, GROUP),
            Err(Error::Group { name: "us".into() })
        );
    }
}
