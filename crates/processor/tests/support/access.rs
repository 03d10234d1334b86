//! Rules of access, made by the wire protocol: the client has no call for them.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::kafka::Broker;

/// Kinds of resources, by their number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource {
    Topic = 2,
    Group = 3,
    Cluster = 4,
    TransactionalId = 5,
}

/// Operations, by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    All = 2,
    Read = 3,
    Write = 4,
    Create = 5,
    Describe = 8,
    DescribeConfigs = 10,
}

const DENY: u8 = 2;
const ALLOW: u8 = 3;

impl Broker {
    /// Denies everybody one operation on a resource, and allows all others.
    pub(crate) fn deny(&self, resource: Resource, name: &str, operation: Operation) {
        let mut rules = Vec::new();
        let mut rule = |operation: Operation, permission: u8| {
            rules.push(resource as u8);
            put_text(&mut rules, name);
            rules.push(3); // this very name
            put_text(&mut rules, "User:*");
            put_text(&mut rules, "*");
            rules.push(operation as u8);
            rules.push(permission);
        };
        rule(operation, DENY);
        rule(Operation::All, ALLOW);
        // CreateAcls, version 1.
        let mut request = Vec::new();
        request.extend_from_slice(&30_i16.to_be_bytes());
        request.extend_from_slice(&1_i16.to_be_bytes());
        request.extend_from_slice(&7_i32.to_be_bytes());
        put_text(&mut request, "test");
        request.extend_from_slice(&2_i32.to_be_bytes());
        request.extend_from_slice(&rules);
        let mut stream = TcpStream::connect(&self.servers).unwrap();
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        // Correlation id, throttle time, two results of code 0 with no message, or an empty one.
        let expected = [7_i32.to_be_bytes().as_slice(), &[0; 4], &2_i32.to_be_bytes()].concat();
        assert_eq!(answer[..12], expected, "{answer:?}");
        for result in answer[12..].chunks(4) {
            let is_fine = result == [0, 0, 0, 0] || result == [0, 0, 0xff, 0xff];
            assert!(is_fine, "{}", String::from_utf8_lossy(&answer));
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&i16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
