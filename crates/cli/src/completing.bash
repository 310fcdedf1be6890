# Bash breaks words at : and = as well, which references to images and --flag=value have in them. They
# are put together again; of each answer only what is behind the last break is given back, since bash
# puts it in the place of no more.
_ignite_complete() {
    local rest=$COMP_LINE words=() current=0 index word breaks='' mark typed

    for index in "${!COMP_WORDS[@]}"; do
        word=${COMP_WORDS[index]}
        if [[ $index -gt 0 && $rest != [[:space:]]* ]]; then
            words[${#words[@]} - 1]+=$word
        elif [[ $index -eq $COMP_CWORD ]]; then
            # Without its quotes.
            words+=("$2")
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
        [[ $index -eq $COMP_CWORD ]] && current=$((${#words[@]} - 1))
    done

    COMPREPLY=()
    IFS=$'\v' read -r -d '' -a COMPREPLY < <(
        IGNITE_COMPLETE=bash _CLAP_IFS=$'\v' _CLAP_COMPLETE_INDEX=$current ignite -- "${words[@]}" 2>/dev/null
    )

    for mark in : =; do
        [[ $COMP_WORDBREAKS == *"$mark"* ]] && breaks+=$mark
    done
    typed=${words[current]}
    # Within quotes nothing breaks.
    if [[ -n $breaks && $typed == *[$breaks]* && ${COMP_WORDS[COMP_CWORD]} != [\'\"]* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*[$breaks]}"}"}")
    fi
    [[ ${COMPREPLY-} == *[=/:] ]] && compopt -o nospace
    return 0
}
complete -o bashdefault -o nosort -F _ignite_complete ignite 2>/dev/null ||
    complete -o bashdefault -F _ignite_complete ignite
