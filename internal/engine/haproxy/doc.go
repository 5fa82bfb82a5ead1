// Package haproxy is the engine that makes listeners, routes, backends and
// probes real with HAProxy.
//
// HAProxy runs detached, in master-worker mode, and is driven only over its
// sockets, so that it outlives the agent. There are two ways to change it: the
// runtime API for servers, map entries and probes, and a hitless reload for
// everything else. Which one is needed is decided by a pure function (actions.go)
// of what the worker has loaded and what is wanted.
//
// On disk, a generation is a folder of small files that listeners and backends are
// divided into, and "current" is a link to the one that was loaded last. Runtime
// changes rewrite the files they touch, so that what is on disk always equals in
// meaning what runs.
//
// names.go, render.go, shards.go, maps.go, actions.go and replies.go are pure.
package haproxy
