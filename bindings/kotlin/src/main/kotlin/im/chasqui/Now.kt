package im.chasqui

import kotlinx.coroutines.ExperimentalForInheritanceCoroutinesApi
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.onCompletion

/**
 * Something that the library knows at any time, asked for when somebody looks: a state flow that needs no scope and nobody who
 * ends it.
 *
 * As every state flow it never completes: collecting that of a closed client waits until it is cancelled.
 */
@OptIn(ExperimentalForInheritanceCoroutinesApi::class)
internal class Now<T>(private val now: () -> T, private val states: Flow<T>) : StateFlow<T> {
    override val value: T
        get() = now()

    override val replayCache: List<T>
        get() = listOf(value)

    override suspend fun collect(collector: FlowCollector<T>): Nothing {
        states
            .onCompletion { failure -> if (failure == null) emit(value) }
            .distinctUntilChanged()
            .collect(collector)
        awaitCancellation()
    }
}
