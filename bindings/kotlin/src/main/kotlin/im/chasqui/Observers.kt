package im.chasqui

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * The newest lines of a timeline, watched.
 *
 * Each collection watches for itself, from its beginning to its end: there is nothing to close. A collection ends when
 * the app closes the client, and fails with nothing then; while the client is suspended it waits.
 */
public class TimelineObserver internal constructor(calls: Calls, limit: Int, open: (Int) -> NativeTimelineObserver) {
    private val watching =
        Watching(
            calls,
            limit,
            { open(it) },
            { it.next() },
            { observer, lines -> observer.setLimit(lines) },
            { it.cancel(); it.close() },
        )

    /** How many lines are shown. A greater one loads older lines: collections get them with their next update. */
    public var limit: Int by watching::limit

    /** A [TimelineUpdate.Reset] first, then what changed. To be applied in order: [applied]. */
    public val updates: Flow<TimelineUpdate> = watching.news

    /** The whole list, oldest line first, each time that it changed. A slow collector may miss lists in between. */
    public val lists: Flow<List<TimelineItem>> = flow {
        var lines = emptyList<TimelineItem>()
        updates.collect { update ->
            lines = update.applied(lines)
            emit(lines)
        }
    }
}

/** Names the line in its timeline, as long as it is there: for the keys of a `LazyColumn`. */
public val TimelineItem.key: String
    get() =
        when (this) {
            is TimelineItem.Message -> message.id.value
            is TimelineItem.Gap -> "gap $seq"
            is TimelineItem.Hole -> "hole $first"
        }

/** The list after the update. */
public fun TimelineUpdate.applied(lines: List<TimelineItem>): List<TimelineItem> =
    when (this) {
        is TimelineUpdate.Reset -> items
        is TimelineUpdate.Changes ->
            lines.toMutableList().apply {
                for (change in changes) {
                    when (change) {
                        is TimelineChange.Insert -> add(change.index, change.item)
                        is TimelineChange.Update -> set(change.index, change.item)
                        is TimelineChange.Remove -> removeAt(change.index)
                    }
                }
            }
    }

/**
 * The top of the conversation list, watched.
 *
 * Each collection watches for itself, from its beginning to its end: there is nothing to close. A collection ends when
 * the app closes the client, and fails with nothing then; while the client is suspended it waits.
 */
public class ConversationsObserver
    internal constructor(calls: Calls, limit: Int, open: (Int) -> NativeConversationsObserver) {
        private val watching =
            Watching(
                calls,
                limit,
                { open(it) },
                { it.next() },
                { observer, lines -> observer.setLimit(lines) },
                { it.cancel(); it.close() },
            )

        /** How many conversations are shown. Collections get more with their next update. */
        public var limit: Int by watching::limit

        /** A [ConversationsUpdate.Reset] first, then what changed. To be applied in order: [applied]. */
        public val updates: Flow<ConversationsUpdate> = watching.news

        /** The whole list, latest activity first, each time that it changed. A slow collector may miss lists in between. */
        public val lists: Flow<List<ConversationSummary>> = flow {
            var lines = emptyList<ConversationSummary>()
            updates.collect { update ->
                lines = update.applied(lines)
                emit(lines)
            }
        }
    }

/** The list after the update. */
public fun ConversationsUpdate.applied(lines: List<ConversationSummary>): List<ConversationSummary> =
    when (this) {
        is ConversationsUpdate.Reset -> items
        is ConversationsUpdate.Changes ->
            lines.toMutableList().apply {
                for (change in changes) {
                    when (change) {
                        is ConversationsChange.Insert -> add(change.index, change.item)
                        is ConversationsChange.Update -> set(change.index, change.item)
                        is ConversationsChange.Remove -> removeAt(change.index)
                    }
                }
            }
    }

/** News from an observer of the library: one for each collection, freed with it. */
internal fun <O, T : Any> watched(
    calls: Calls,
    open: () -> O,
    next: suspend (O) -> T?,
    free: (O) -> Unit,
): Flow<T> = flow {
    // The app closed the client: what watches it ends, and what would begin to.
    val observer = calls.unlessClosed { calls.typed(open) } ?: return@flow
    try {
        while (true) emit(calls.unlessClosed { calls.call { next(observer) } } ?: break)
    } finally {
        free(observer)
    }
}

/** A list that any number of collections watch, with one limit. */
private class Watching<O : Any, T : Any>(
    private val calls: Calls,
    limit: Int,
    open: (Int) -> O,
    next: suspend (O) -> T?,
    private val show: (O, Int) -> Unit,
    free: (O) -> Unit,
) {
    private val watching = mutableSetOf<O>()

    var limit: Int = limit
        get() = synchronized(watching) { field }
        set(value) =
            synchronized(watching) {
                watching.forEach { calls.guarded { show(it, value) } }
                field = value
            }

    val news: Flow<T> =
        watched(
            calls,
            { synchronized(watching) { open(this.limit).also(watching::add) } },
            next,
            { observer ->
                synchronized(watching) { watching.remove(observer) }
                free(observer)
            },
        )
}
